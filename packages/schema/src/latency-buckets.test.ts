import { expect, test } from 'vitest'
import { latencyBucket, latencyQuantile, numLatencyBuckets } from './latency-buckets.ts'

const count = (...times: number[]): number[] => {
  const counts = new Array<number>(numLatencyBuckets).fill(0)
  for (const ms of times) counts[latencyBucket(ms)] = (counts[latencyBucket(ms)] ?? 0) + 1
  return counts
}

test.each([0.15, 1, 9.4, 240, 60_000])('%d ms is told to nine per cent', (ms) => {
  const told = latencyQuantile(count(ms), 0.5) ?? 0
  expect(Math.abs(told - ms) / ms).toBeLessThan(0.091)
})

test('nothing is beyond the first and the last bucket', () => {
  expect([0, -1, 1e12].map(latencyBucket)).toEqual([0, 0, numLatencyBuckets - 1])
})

test('quantiles are of what was counted', () => {
  expect(latencyQuantile([], 0.5)).toBeNull()
  const counts = count(...Array.from({ length: 99 }, () => 10), 1000, 1000)
  expect(latencyQuantile(counts, 0.5)).toBeLessThan(11)
  expect(latencyQuantile(counts, 0.99)).toBeGreaterThan(900)
})
