import type { UsageEvent } from '@punica/schema'
import { pino } from '@punica/service'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { createTable } from './requests/table.ts'
import { task } from './testing/fixtures.ts'
import { createUsageRecorder, toUsageEvent } from './usage.ts'

beforeEach(() => {
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
})

const event = (requestId: string, fromIndex = 0): UsageEvent => ({
  requestId,
  tenant: 'acme',
  adapterDigest: null,
  pool: 'default',
  nodeId: 'n1',
  timeMs: 0,
  promptTokens: 3,
  fromIndex,
  toIndex: fromIndex + 5,
})

/** A stream that refuses the first `numFailures` calls. */
const start = (numFailures: number) => {
  const stored: string[] = []
  let left = numFailures
  const onLost = vi.fn()
  const bus = {
    store: async (_channel: unknown, _message: unknown, { id }: { id: string }) => {
      if (left-- > 0) throw new Error('no stream')
      stored.push(id)
    },
  }
  return {
    stored,
    onLost,
    recorder: createUsageRecorder({ bus, log: pino({ level: 'silent' }), onLost }),
  }
}

test('usage is stored in order under an id that a repetition shares', async () => {
  const { recorder, stored } = start(0)
  recorder.record(event('r1'))
  recorder.record(event('r1', 5))
  await recorder.flush(1_000)
  expect(stored).toEqual(['r1:0', 'r1:5'])
})

test('a stream that comes back gets everything', async () => {
  const { recorder, stored, onLost } = start(5)
  recorder.record(event('r1'))
  recorder.record(event('r2'))
  await vi.runAllTimersAsync()
  expect(stored).toEqual(['r1:0', 'r2:0'])
  expect(onLost).not.toHaveBeenCalled()
})

test('tries and events that wait are bounded', async () => {
  const { recorder, stored, onLost } = start(20)
  recorder.record(event('given-up'))
  recorder.record(event('r2'))
  await vi.runAllTimersAsync()
  expect(stored).toEqual(['r2:0'])
  expect(onLost).toHaveBeenCalledTimes(1)
})

test('a stop waits only so long', async () => {
  const { recorder, onLost } = start(1_000)
  recorder.record(event('r1'))
  recorder.record(event('r2'))
  const flushed = recorder.flush(3_000)
  await vi.advanceTimersByTimeAsync(3_000)
  await flushed
  expect(onLost).toHaveBeenCalledTimes(2)
})

test.each([
  ['first tokens pay for the prompt too', {}, 3, 'length', [3, 0, 3]],
  ['an answer without a token still has a prompt', {}, 0, 'stop', [3, 0, 0]],
  ['a move before the first token leaves it to the next', {}, 0, 'evicted', null],
  ['later tokens do not pay for it again', { tokens: [1, 2, 3, 9] }, 2, 'length', [0, 1, 3]],
  ['a continuation that makes nothing costs nothing', { tokens: [1, 2, 3, 9] }, 0, 'stop', null],
] as const)('%s', (_, rest, numMade, reason, expected) => {
  const entry = createTable().add(
    task('r1', { ...rest, tokens: [...('tokens' in rest ? rest.tokens : [1, 2, 3])] }),
  )
  entry.numGenerated += numMade
  const usage = toUsageEvent(entry, reason, { pool: 'default', nodeId: 'n1', nowMs: 0 })
  const numbers = usage && [usage.promptTokens, usage.fromIndex, usage.toIndex]
  expect(numbers).toEqual(expected)
})
