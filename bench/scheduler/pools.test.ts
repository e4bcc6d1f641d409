import { expect, test } from 'vitest'
import { simulate } from './cluster.ts'
import { shareGpt } from './lengths.ts'
import { createPolicy } from './policies.ts'
import { createPools } from './pools.ts'
import { readStepTime } from './step-time.ts'
import { createTrace } from './traces.ts'

const stepTime = readStepTime(new URL('./step-time-h100-llama2-7b.json', import.meta.url))

test('a cluster of several pools completes what one pool does', () => {
  const trace = createTrace('zipf-0.9', {
    seed: 5,
    durationMs: 20_000,
    meanRate: 20,
    numAdapters: 100,
    lengths: shareGpt,
    bytesPerRank: stepTime.adapterBytesPerRank,
    numTenants: 3,
  })
  const outcome = simulate(
    trace,
    createPools(3, () => createPolicy('punica')),
    {
      numNodes: 6,
      numGateways: 2,
      engine: { stepTime, maxBatchSize: 16, maxStepTokens: 256, targetStepMs: null, pageSize: 16 },
      latencyMs: 0.5,
      statusIntervalMs: 250,
      tickIntervalMs: 300,
      numSamples: 20,
    },
  )
  expect(outcome.numDone).toBe(outcome.numRequests)
  expect(outcome.numRequests).toBeGreaterThan(300)
  expect(outcome.maxActive).toBeGreaterThanOrEqual(3)
})
