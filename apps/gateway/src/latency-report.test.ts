import { latencyBucket } from '@punica/schema'
import { expect, test } from 'vitest'
import { createLatencyReport } from './latency-report.ts'

test('is taken once, and says nothing where nothing was counted', () => {
  const report = createLatencyReport()
  expect(report.take()).toBeNull()
  report.firstToken(50)
  for (const ms of [10, 10, 20]) report.tokenGap(ms)
  expect(report.take()).toEqual({
    timeToFirstToken: [[latencyBucket(50), 1]],
    interToken: [
      [latencyBucket(10), 2],
      [latencyBucket(20), 1],
    ],
  })
  expect(report.take()).toBeNull()
})
