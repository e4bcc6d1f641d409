import type { UsageEvent } from '@punica/schema'
import { pino } from '@punica/service'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { createUsageRecorder } from './recorder.ts'

beforeEach(() => {
  vi.useFakeTimers({ now: 0 })
})
afterEach(() => {
  vi.useRealTimers()
})

const event = (requestId: string, completionTokens = 5, final = true): UsageEvent => ({
  requestId,
  tenant: 'acme',
  adapterDigest: null,
  pool: 'default',
  gatewayId: 'gw',
  timeMs: Date.now(),
  promptTokens: 3,
  completionTokens,
  final,
})

/** A stream that refuses whatever `refuses` says. */
const start = (refuses: (id: string) => boolean) => {
  const stored: string[] = []
  const onLost = vi.fn()
  const bus = {
    store: async (_channel: unknown, _message: unknown, { id }: { id: string }) => {
      if (refuses(id)) throw new Error('no stream')
      stored.push(id)
    },
  }
  const log = pino({ level: 'silent' })
  return { stored, onLost, recorder: createUsageRecorder({ bus, log, clock: Date.now, onLost }) }
}

test('each event has an id of its own, which a repetition shares', async () => {
  const { recorder, stored } = start(() => false)
  recorder.record(event('r1', 5, false))
  await recorder.flush(1_000)
  recorder.record(event('r1', 5))
  await recorder.flush(1_000)
  expect(stored).toEqual(['r1:5', 'r1:5:final'])
})

test('a stream that comes back gets everything, and of each call only the newest', async () => {
  const { recorder, stored, onLost } = start(() => Date.now() < 60_000)
  recorder.record(event('r1', 5, false))
  recorder.record(event('r2'))
  await vi.advanceTimersByTimeAsync(1_000)
  recorder.record(event('r1', 9))
  await vi.runAllTimersAsync()
  expect(stored.toSorted()).toEqual(['r1:9:final', 'r2:5:final'])
  expect(recorder.numWaiting()).toBe(0)
  expect(onLost).not.toHaveBeenCalled()
})

test('what is refused for ever holds nothing up and is given up in the end', async () => {
  const { recorder, stored, onLost } = start((id) => id.startsWith('bad'))
  for (let i = 0; i < 100; i++) recorder.record(event(`bad${i}`))
  recorder.record(event('good'))
  await vi.advanceTimersByTimeAsync(10_000)
  expect(stored).toEqual(['good:5:final'])
  await vi.advanceTimersByTimeAsync(40 * 60_000)
  expect(recorder.numWaiting()).toBe(0)
  expect(onLost).toHaveBeenCalledTimes(100)
})

test('events that wait are bounded', async () => {
  const { recorder, onLost } = start(() => true)
  for (let i = 0; i < 100_001; i++) recorder.record(event(`r${i}`))
  expect(recorder.numWaiting()).toBe(100_000)
  expect(onLost).toHaveBeenCalledTimes(1)
  recorder.record(event('r7', 6))
  expect(onLost).toHaveBeenCalledTimes(1)
})

test('a stop waits only so long', async () => {
  const { recorder, onLost } = start(() => true)
  recorder.record(event('r1'))
  recorder.record(event('r2'))
  const flushed = recorder.flush(3_000)
  await vi.advanceTimersByTimeAsync(3_000)
  await flushed
  expect(onLost).toHaveBeenCalledTimes(2)
})
