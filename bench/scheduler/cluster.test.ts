import type { Command, SchedulerEvent } from '@punica/scheduler'
import { expect, test } from 'vitest'
import { type ClusterOptions, type Observer, simulate } from './cluster.ts'
import { shareGpt } from './lengths.ts'
import { createPolicy, policyNames } from './policies.ts'
import { readStepTime } from './step-time.ts'
import { createTrace, traceNames } from './traces.ts'

const stepTime = readStepTime(new URL('./step-time-h100-llama2-7b.json', import.meta.url))

/** `poolShare` of the GPU's memory, so that pages can be made to run short. */
const clusterOptions = (poolShare: number): ClusterOptions => ({
  numNodes: 4,
  numGateways: 2,
  engine: {
    stepTime: { ...stepTime, poolBytes: stepTime.poolBytes * poolShare },
    maxBatchSize: 8,
    maxStepTokens: 128,
    targetStepMs: null,
    pageSize: 16,
  },
  latencyMs: 0.5,
  statusIntervalMs: 250,
  tickIntervalMs: 300,
  numSamples: 200,
})

const traceOf = (name: string, { seed = 1, meanRate = 6 } = {}) => {
  return createTrace(name, {
    seed,
    durationMs: 60_000,
    meanRate,
    numAdapters: 200,
    lengths: shareGpt,
    bytesPerRank: stepTime.adapterBytesPerRank,
    numTenants: 5,
  })
}

const run = (policy: string, trace: string, poolShare: number, observer: Observer = {}) => {
  return simulate(traceOf(trace), createPolicy(policy), clusterOptions(poolShare), observer)
}

/** Little enough for requests to be evicted, and enough for each to run alone. */
const scarce = 0.03

test('the same seed gives the same run, another seed another', () => {
  const first = run('punica', 'zipf-1.1', scarce)
  expect(run('punica', 'zipf-1.1', scarce)).toEqual(first)
  const trace = traceOf('zipf-1.1', { seed: 2 })
  const other = simulate(trace, createPolicy('punica'), clusterOptions(scarce))
  expect(other.numTokens).not.toBe(first.numTokens)
})

test.each(policyNames)('%s completes every request once, with all its tokens', (policy) => {
  const wanted = [...traceOf('mixed-ranks').arrivals()].map((a) => a.numOutputTokens)
  const done = new Map<string, number>()
  const outcome = run(policy, 'mixed-ranks', scarce, {
    onDone: (requestId, numTokens) => {
      expect(done.has(requestId)).toBe(false)
      done.set(requestId, numTokens)
    },
  })
  expect(outcome.numRefused).toBe(0)
  expect(wanted.map((_, i) => done.get(`r${i}`))).toEqual(wanted)
  expect(outcome.numTokens).toBe(wanted.reduce((sum, count) => sum + count, 0))
  expect(outcome.numEvicted).toBeGreaterThan(0)
})

test.each(traceNames)('the trace %s never fills a node beyond its limits', (trace) => {
  let mostTaken = 0
  run('punica', trace, scarce, {
    onSample: (nodes) => {
      for (const { engine, numRequests } of nodes) {
        const { pool } = engine
        let numPages = 0
        for (const { numComputed } of engine.batch) numPages += Math.ceil(numComputed / 16)
        for (const adapter of pool.resident.values()) numPages += adapter.numPages
        expect(numPages).toBeLessThanOrEqual(pool.numPages)
        expect(pool.freePages).toBeGreaterThanOrEqual(0)
        expect(pool.kvPages).toBeGreaterThanOrEqual(0)
        expect(pool.kvPages + pool.freePages).toBeLessThanOrEqual(pool.numPages)
        expect(numRequests).toBeLessThanOrEqual(8)
        mostTaken = Math.max(mostTaken, pool.pagesInUse / pool.numPages)
      }
    },
  })
  expect(mostTaken).toBeGreaterThan(0.5)
})

test('a node takes no more than its batch limit under any policy', () => {
  for (const policy of policyNames) {
    const running = new Map<string, number>()
    const change = (nodeId: string, by: number): void => {
      const count = (running.get(nodeId) ?? 0) + by
      expect(count).toBeLessThanOrEqual(8)
      running.set(nodeId, count)
    }
    const onDecision = (event: SchedulerEvent, commands: readonly Command[]): void => {
      if (event.type === 'ended') change(event.nodeId, -1)
      for (const command of commands) if (command.type === 'assign') change(command.nodeId, 1)
    }
    run(policy, 'paper', 1, { onDecision })
  }
})

test('packing uses fewer GPU-hours than spreading', () => {
  const packed = run('punica', 'steady', 1)
  const spread = run('least-loaded', 'steady', 1)
  expect(packed.gpuHours).toBeLessThan(0.8 * spread.gpuHours)
  expect(packed.meanActive).toBeGreaterThanOrEqual(packed.meanLowerBound)
})
