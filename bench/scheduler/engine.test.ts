import type { Task } from '@punica/schema'
import { expect, test } from 'vitest'
import { createEngine } from './engine.ts'
import { createEventQueue } from './event-queue.ts'
import { tokensOfLength } from './gateway.ts'
import { createSequence, type End } from './sequence.ts'
import { readStepTime } from './step-time.ts'

const stepTime = readStepTime(new URL('./step-time-h100-llama2-7b.json', import.meta.url))

const start = ({ numPages = 1_000, maxBatchSize = 8 } = {}) => {
  const queue = createEventQueue()
  const ends: (End & { timeMs: number })[] = []
  const gaps: number[] = []
  const engine = createEngine({
    queue,
    options: {
      stepTime: { ...stepTime, poolBytes: numPages * 16 * stepTime.kvBytesPerToken },
      maxBatchSize,
      maxStepTokens: 64,
      targetStepMs: null,
      pageSize: 16,
    },
    listener: {
      onFirstToken: () => {},
      onTokenGaps: (gapMs, times) => {
        for (let i = 0; i < times; i++) gaps.push(gapMs)
      },
      onEnd: (end) => ends.push({ ...end, timeMs: queue.nowMs }),
    },
  })
  const sequence = (requestId: string, numPromptTokens: number, numOutputTokens: number) => {
    const task: Task = {
      requestId,
      attempt: 0,
      gatewayId: 'g0',
      tenant: 't0',
      adapter: null,
      tokens: tokensOfLength(numPromptTokens),
      numPromptTokens,
      maxNewTokens: 1_000,
      stopTokens: [],
      ignoreEos: false,
      sampling: { seed: 0 },
      arrivalMs: 0,
      deadlineMs: 1e9,
    }
    const client = {
      requestId,
      arrivalMs: 0,
      numOutputTokens,
      task,
      numReceived: 0,
      lastTokenMs: Number.NaN,
    }
    return createSequence(task, client)
  }
  return { queue, engine, ends, gaps, sequence }
}

/** ms of a step. */
const stepMs = (numRows: number, numKvTokens: number): number =>
  stepTime.fixedMs(numRows, 0) + numKvTokens * stepTime.msPerKvToken

test('a request alone takes its prefill chunks and one step a token', () => {
  const { queue, engine, ends, gaps, sequence } = start()
  engine.submit(sequence('a', 100, 50))
  queue.run()
  const decode = Array.from({ length: 49 }, (_, i) => stepMs(1, 101 + i))
  const prefill = stepMs(64, 64) + stepMs(36, 100)
  const total = decode.reduce((sum, ms) => sum + ms, prefill)
  expect(ends[0]?.timeMs).toBeCloseTo(total, 6)
  expect(gaps).toHaveLength(49)
  expect(engine.pool.freePages).toBe(1_000)
})

test('looking in between changes nothing', () => {
  const outcomes = [false, true].map((isWatched) => {
    const { queue, engine, ends, sequence } = start()
    for (const [index, length] of [40, 70, 90].entries()) {
      queue.at(index * 33, () => engine.submit(sequence(`r${index}`, length, 3 * length)))
    }
    if (isWatched) for (let ms = 1; ms < 2_000; ms += 7) queue.at(ms, engine.settle)
    queue.run()
    return ends.map(({ task, timeMs }) => [task.requestId, timeMs.toFixed(6)])
  })
  expect(outcomes[0]).toEqual(outcomes[1])
})

test('out of pages, the newest is evicted and the others go on', () => {
  const { queue, engine, ends, sequence } = start({ numPages: 10 })
  engine.submit(sequence('old', 40, 100))
  queue.at(1, () => engine.submit(sequence('new', 40, 100)))
  queue.run()
  expect(ends.map(({ task, reason, byPressure }) => [task.requestId, reason, byPressure])).toEqual([
    ['new', 'evicted', true],
    ['old', 'stop', false],
  ])
})

test('an eviction takes effect after the step under way', () => {
  const { queue, engine, ends, sequence } = start()
  const one = sequence('a', 10, 500)
  engine.submit(one)
  queue.at(100.5, () => engine.stop(one, 'evicted'))
  queue.run()
  expect(ends[0]?.reason).toBe('evicted')
  expect(ends[0]?.timeMs).toBeGreaterThan(100.5)
  expect(ends[0]?.timeMs).toBeLessThan(100.5 + 2 * stepMs(1, 30))
  expect(one.client.numReceived).toBe(one.numTokens - 10)
})
