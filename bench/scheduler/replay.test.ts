import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { simulate } from './cluster.ts'
import { createEventLog, readEventLog, traceOfLog } from './event-log.ts'
import { shareGpt } from './lengths.ts'
import { createPolicy, schedulerOptions } from './policies.ts'
import { replay } from './replay.ts'
import { readStepTime } from './step-time.ts'
import { createTrace } from './traces.ts'

const folder = mkdtempSync(join(tmpdir(), 'punica-replay-'))
afterAll(() => rmSync(folder, { recursive: true }))

const stepTime = readStepTime(new URL('./step-time-h100-llama2-7b.json', import.meta.url))

const cluster = {
  numNodes: 3,
  numGateways: 2,
  engine: {
    stepTime: { ...stepTime, poolBytes: stepTime.poolBytes * 0.03 },
    maxBatchSize: 8,
    maxStepTokens: 128,
    targetStepMs: null,
    pageSize: 16,
  },
  latencyMs: 0.5,
  statusIntervalMs: 250,
  tickIntervalMs: 300,
  numSamples: 20,
}

const options = schedulerOptions('consolidating', {})

const record = (name: string): { path: string; numRequests: number } => {
  if (options === undefined) throw new Error('a scheduler has options')
  const trace = createTrace('zipf-1.1', {
    seed: 3,
    durationMs: 20_000,
    meanRate: 6,
    numAdapters: 50,
    lengths: shareGpt,
    bytesPerRank: stepTime.adapterBytesPerRank,
    numTenants: 3,
  })
  const path = join(folder, name)
  const log = createEventLog(path, options)
  const { numRequests } = simulate(trace, createPolicy('consolidating'), cluster, {
    onDecision: log.write,
  })
  log.close()
  return { path, numRequests }
}

test('a recorded log gives the same decisions when it is replayed', () => {
  const { path } = record('same.jsonl')
  const { numSteps, differences } = replay(path)
  expect(numSteps).toBeGreaterThan(500)
  expect(differences).toEqual([])
})

test('the requests of a log are a trace', () => {
  const { path, numRequests } = record('trace.jsonl')
  const trace = traceOfLog(path)
  expect([...trace.arrivals()]).toHaveLength(numRequests)
  expect(simulate(trace, createPolicy('least-loaded'), cluster).numDone).toBe(numRequests)
  expect(readEventLog(path).options).toEqual(options)
})

test('a trace begins with its log, whenever that was', () => {
  const { path } = record('early.jsonl')
  const { steps } = readEventLog(path)
  const late = join(folder, 'late.jsonl')
  if (options === undefined) throw new Error('a scheduler has options')
  const log = createEventLog(late, options)
  const since1970Ms = Date.UTC(2026, 0, 1)
  for (const { event } of steps) {
    log.write({ ...event, nowMs: event.nowMs + since1970Ms }, [])
  }
  log.close()
  expect([...traceOfLog(late).arrivals()]).toEqual([...traceOfLog(path).arrivals()])
})
