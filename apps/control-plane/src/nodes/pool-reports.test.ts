import { latencyBucket, type PoolReport } from '@punica/schema'
import { expect, test } from 'vitest'
import { createPoolReports } from './pool-reports.ts'

const router = (changes: object = {}): PoolReport => ({
  type: 'router',
  epoch: 3,
  queuedRequests: 2,
  gpuSecondsSaved: 90.5,
  ...changes,
})

const latency = (gatewayId: string, ms: number, count: number): PoolReport => ({
  type: 'latency',
  gatewayId,
  timeToFirstToken: [],
  interToken: [[latencyBucket(ms), count]],
})

const nothing = {
  queuedRequests: null,
  gpuSecondsSaved: null,
  timeToFirstTokenMs: null,
  interTokenMs: null,
}

test('what nobody has told is not known', () => {
  expect(createPoolReports().read('default', 0)).toEqual(nothing)
})

test('the leader is believed while it is heard, and one that leads no more is not', () => {
  const reports = createPoolReports()
  expect(reports.handle('default', router(), 0)).toBe(true)
  expect(reports.handle('default', router({ epoch: 2, queuedRequests: 9 }), 1)).toBe(false)
  expect(reports.read('default', 5_000)).toMatchObject({ queuedRequests: 2, gpuSecondsSaved: 90.5 })
  expect(reports.read('other', 0)).toEqual(nothing)
  expect(reports.read('default', 5_001)).toEqual(nothing)
})

test('latencies of all gateways add up, over half a minute', () => {
  const reports = createPoolReports()
  reports.handle('default', latency('a', 10, 90), 0)
  reports.handle('default', latency('b', 100, 10), 20_000)
  const both = reports.read('default', 30_000).interTokenMs
  expect(both?.p50).toBeCloseTo(10, -0.5)
  expect(both?.p99).toBeGreaterThan(90)
  expect(reports.read('default', 30_001).interTokenMs?.p50).toBeGreaterThan(90)
  expect(reports.read('default', 50_001).interTokenMs).toBeNull()
})

test('a flood is bounded', () => {
  const reports = createPoolReports()
  for (let i = 0; i < 5_000; i++)
    reports.handle('default', latency('a', i < 4_000 ? 1 : 1000, 1), i)
  // The oldest have made room: a third of what is left is slow.
  expect(reports.read('default', 5_000).interTokenMs?.p99).toBeGreaterThan(900)
  for (let i = 0; i < 2_000; i++) reports.handle(`pool-${i}`, router(), 0)
  expect(reports.read('pool-1999', 0)).toEqual(nothing)
})
