import { expect, test } from 'vitest'
import { nodeStatus, task } from './testing/fixtures.ts'
import { start } from './testing/start.ts'

const startWithOne = (options: Parameters<typeof start>[0] = {}) => {
  const scheduler = start(options)
  scheduler.report(nodeStatus('b'))
  scheduler.submit(task('r1', { maxNewTokens: 500 }))
  scheduler.send({ type: 'assignAccepted', nodeId: 'b', requestId: 'r1', attempt: 0 })
  return scheduler
}

test('a cordoned node keeps what it runs and gets nothing new, until it is uncordoned', () => {
  const { report, send, placed, submit, reasons } = startWithOne()
  expect(send({ type: 'nodeCordoned', nodeId: 'b' })).toEqual([])
  expect(reasons({ type: 'nodeCordoned', nodeId: 'b' }, 'cordon')).toEqual([])
  report(nodeStatus('a'))
  expect(placed(task('r2'))).toBe('a')
  report(nodeStatus('a', { state: 'draining' }))
  submit(task('r3'))
  expect(send({ type: 'nodeUncordoned', nodeId: 'b' })).toMatchObject([
    { type: 'assign', nodeId: 'b', task: { requestId: 'r3' } },
  ])
})

test('a cordon outlives a restart of its node', () => {
  const { report, send, placed } = startWithOne()
  send({ type: 'nodeCordoned', nodeId: 'b' })
  report(nodeStatus('b', { incarnation: 'second' }))
  expect(placed(task('r2'))).toBe(null)
})

test('what runs on a node that is drained moves as soon as others have room', () => {
  const { report, send, submit, snapshot } = startWithOne()
  // Nowhere to go: it goes on where it is.
  expect(send({ type: 'nodeDrained', nodeId: 'b' })).toEqual([])
  report(nodeStatus('a'))
  expect(send({ type: 'tick' })).toEqual([
    { type: 'evict', nodeId: 'b', requestId: 'r1', attempt: 0, cause: 'drain' },
  ])
  expect(send({ type: 'tick' })).toEqual([])
  send({
    type: 'ended',
    nodeId: 'b',
    requestId: 'r1',
    attempt: 0,
    reason: 'evicted',
    byPressure: false,
  })
  expect(submit(task('r1', { attempt: 1 }))).toMatchObject([{ type: 'assign', nodeId: 'a' }])
  expect(snapshot().nodes).toMatchObject([
    { nodeId: 'b', cordon: 'draining', requests: [] },
    { nodeId: 'a', cordon: null },
  ])
})

test('an eviction that the node never heard of is ordered again', () => {
  const { report, send, clock } = startWithOne({ minMoveIntervalMs: 2_000 })
  report(nodeStatus('a'))
  expect(send({ type: 'nodeDrained', nodeId: 'b' })).toMatchObject([{ type: 'evict' }])
  const again = { type: 'evict', nodeId: 'b', requestId: 'r1', attempt: 0 }
  const requests = [{ requestId: 'r1', attempt: 0 }]
  const orders: unknown[] = []
  for (clock.nowMs = 500; clock.nowMs <= 3_000; clock.nowMs += 500) {
    report(nodeStatus('a'))
    report(nodeStatus('b', { requests }))
    orders.push(...send({ type: 'tick' }))
  }
  expect(orders).toMatchObject([again])
})

test('a request that is about to end ends on the node that is drained', () => {
  const { report, send } = startWithOne({ minRemainingTokens: 501 })
  report(nodeStatus('a'))
  expect(send({ type: 'nodeDrained', nodeId: 'b' })).toEqual([])
})

test('cordons are bounded', () => {
  const { send, reasons } = start()
  for (let i = 0; i < 4_096; i++) send({ type: 'nodeCordoned', nodeId: `n${i}` })
  expect(reasons({ type: 'nodeCordoned', nodeId: 'late' }, 'refuse')).toHaveLength(1)
  send({ type: 'nodeUncordoned', nodeId: 'n0' })
  expect(reasons({ type: 'nodeCordoned', nodeId: 'late' }, 'cordon')).toHaveLength(1)
})
