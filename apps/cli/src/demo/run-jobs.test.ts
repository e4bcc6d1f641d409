import { AppError } from '@punica/schema'
import { describe, expect, test } from 'vitest'
import { type DemoAdapter, type Job, readJobs } from './adapters.ts'
import type { Ask } from './answers.ts'
import { createBoard, type Result } from './board.ts'
import { runJobs } from './run-jobs.ts'
import { summarise } from './summary.ts'

const adapter = (name: string, numRequests: number | null): DemoAdapter => ({
  name,
  tenant: 'acme',
  face: 'HTTP',
  folder: '',
  numRequests,
})
const long = adapter('long', 5)
const short = adapter('short', null)
const jobsOf = (adapter: DemoAdapter, count: number): Job[] =>
  Array.from({ length: count }, (_, i) => ({
    adapter,
    prompt: `${i}`,
    expected: adapter.numRequests === null ? 'yes' : null,
    maxTokens: 8,
  }))
const jobs = [...jobsOf(long, 5), ...jobsOf(short, 1000)]

const answer: Ask = async function* answer({ adapter }) {
  const numPieces = adapter.name === 'long' ? 20 : 1
  for (let i = 0; i < numPieces; i++) {
    await new Promise((resolve) => setImmediate(resolve))
    yield { type: 'text', text: 'yes', nodeId: i < 10 ? 'node-1' : 'node-2', numAdapters: i + 1 }
  }
  yield { type: 'end', numTokens: numPieces }
}

const run = (ask: Ask, ended: (result: Result) => void = () => {}): Promise<Result[]> =>
  runJobs(jobs, {
    askOf: () => ask,
    board: createBoard([long, short]),
    view: { ended, close: () => {} },
    signal: new AbortController().signal,
    now: () => 0,
  })

describe('runJobs', () => {
  test('answers all that are counted, and others for as long as that takes', async () => {
    const seen: Result[] = []
    const results = await run(answer, (result) => seen.push(result))
    expect(seen).toEqual(results)
    const ofLong = results.filter(({ job }) => job.adapter === long)
    expect(ofLong).toHaveLength(5)
    expect(ofLong[0]).toMatchObject({
      text: 'yes'.repeat(20),
      numTokens: 20,
      nodeIds: ['node-1', 'node-2'],
      maxAdapters: 20,
    })
    const numShort = results.length - ofLong.length
    expect(numShort).toBeGreaterThan(4)
    expect(numShort).toBeLessThan(1000)
  })

  test('ends everything at the first failure, and says whose it was', async () => {
    const signals: AbortSignal[] = []
    const failing: Ask = async function* failing(job, signal) {
      signals.push(signal)
      if (job.adapter === long && job.prompt === '2') throw new AppError('overloaded', 'full')
      yield* answer(job, signal)
    }
    const running = run(failing)
    await expect(running).rejects.toMatchObject({ code: 'overloaded' })
    await expect(running).rejects.toThrow('long over HTTP: full')
    expect(signals.every(({ aborted }) => aborted)).toBe(true)
  })
})

test('summarise tells what happened', async () => {
  const results = await run(answer)
  const text = summarise({ results, durationMs: 2000, baseModel: 'tiny' })
  expect(text).toMatch(/^long +acme +HTTP +5 +free text +100 /m)
  expect(text).toContain('2 of 1 tenants on one copy of tiny')
  expect(text).toContain('20 different adapters at most')
  expect(text).toContain('(5 moved)')
})

test('the demo asks what the adapters were not trained on', async () => {
  const all = await readJobs()
  const names = new Set(all.map(({ adapter }) => adapter.name))
  expect(names.size).toBe(6)
  for (const { adapter, expected } of all) {
    expect(expected === null).toBe(adapter.numRequests !== null)
  }
})
