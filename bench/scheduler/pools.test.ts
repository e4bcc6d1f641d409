import { expect, test } from 'vitest'
import { shareGpt } from './lengths.ts'
import { addOutcomes, type PooledRun, simulatePools } from './pools.ts'
import { readStepTime } from './step-time.ts'
import { createTrace } from './traces.ts'

const stepTime = readStepTime(new URL('./step-time-h100-llama2-7b.json', import.meta.url))

const run: PooledRun = {
  trace: createTrace('zipf-0.9', {
    seed: 5,
    durationMs: 20_000,
    meanRate: 20,
    numAdapters: 100,
    lengths: shareGpt,
    bytesPerRank: stepTime.adapterBytesPerRank,
    numTenants: 3,
  }),
  policy: 'punica',
  pace: {},
  cluster: {
    numNodes: 7,
    numGateways: 2,
    engine: { stepTime, maxBatchSize: 16, maxStepTokens: 256, targetStepMs: null, pageSize: 16 },
    latencyMs: 0.5,
    statusIntervalMs: 250,
    tickIntervalMs: 300,
    numSamples: 20,
  },
  numPools: 3,
}

test('a cluster of several pools completes every request of the trace, in one of them', () => {
  const outcome = simulatePools(run, [0, 1, 2])
  expect(outcome.numRequests).toBe([...run.trace.arrivals()].length)
  expect(outcome.numDone).toBe(outcome.numRequests)
  expect(outcome.maxActive).toBeGreaterThanOrEqual(3)
  expect(outcome.samples.at(-1)?.numArrived).toBe(outcome.numRequests)
})

test('it does not matter which process has which pool', () => {
  const together = simulatePools(run, [0, 1, 2])
  const apart = addOutcomes([simulatePools(run, [2]), simulatePools(run, [0, 1])])
  expect(apart.totals.itl).toEqual(together.totals.itl)
  expect(apart.gpuHours).toBeCloseTo(together.gpuHours)
  expect({ ...apart, totals: null, gpuHours: 0 }).toMatchObject({
    numEvents: together.numEvents,
    endMs: together.endMs,
    ttftP99Ms: together.ttftP99Ms,
    itlP99Ms: together.itlP99Ms,
  })
})
