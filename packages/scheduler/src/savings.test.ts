import { expect, test } from 'vitest'
import { nodeStatus, task } from './testing/fixtures.ts'
import { runHistory } from './testing/history.ts'
import { start } from './testing/start.ts'

test('packing is credited with the nodes that least-loaded placement would keep active', () => {
  const { clock, report, submit, send, end, gpuSeconds } = start()
  for (const nodeId of ['a', 'b', 'c']) report(nodeStatus(nodeId))
  const tick = (nowMs: number) => {
    clock.nowMs = nowMs
    send({ type: 'gatewayReported', gatewayId: 'gw', leaving: false })
    for (const nodeId of ['a', 'b', 'c']) send({ type: 'nodeReported', status: running(nodeId) })
    send({ type: 'tick' })
  }
  const open = new Set<string>()
  const running = (nodeId: string) =>
    nodeStatus(nodeId, {
      requests: nodeId === 'c' ? [...open].map((requestId) => ({ requestId, attempt: 0 })) : [],
    })
  const begin = (requestId: string) => {
    submit(task(requestId))
    open.add(requestId)
  }
  tick(0)
  begin('r1')
  begin('r2')
  // Both are on one node for two seconds, and would be on two.
  tick(2_000)
  expect(gpuSeconds()).toEqual({ active: 2, leastLoaded: 4 })
  begin('r3')
  begin('r4')
  tick(3_000)
  // There are only three.
  expect(gpuSeconds()).toEqual({ active: 3, leastLoaded: 7 })
  for (const requestId of ['r1', 'r2', 'r3', 'r4']) {
    open.delete(requestId)
    end('c', requestId)
  }
  tick(5_000)
  expect(gpuSeconds()).toEqual({ active: 3, leastLoaded: 7 })
})

test.each([1, 2, 3])('the accounts are closed when all is over (seed %i)', (seed) => {
  const { scheduler, lastMs } = runHistory(seed)
  const before = scheduler.gpuSeconds()
  expect(before.leastLoaded).toBeGreaterThan(0)
  scheduler.handle({ nowMs: lastMs + 1_000, type: 'tick' })
  expect(scheduler.gpuSeconds()).toEqual(before)
})
