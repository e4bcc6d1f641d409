import type { NodeStatus } from '@punica/schema'
import { expect, test } from 'vitest'
import { adapterRef, nodeStatus, task } from './testing/fixtures.ts'
import { start } from './testing/start.ts'

const adapter = adapterRef('a', 300)

/** Node a runs one request, node b two; a pass is due with the next tick. */
const startLopsided = (options: Parameters<typeof start>[0] = {}) => {
  const scheduler = start({ consolidationIntervalMs: 1_000, ...options })
  const { report, submit, send, end, clock } = scheduler
  const accept = (nodeId: string, requestId: string, attempt = 0): void => {
    send({ type: 'assignAccepted', nodeId, requestId, attempt })
  }
  report(nodeStatus('a', { maxBatchSize: 1 }))
  submit(task('light', { maxNewTokens: 500, adapter }))
  report(nodeStatus('b'))
  for (const requestId of ['x', 'y']) submit(task(requestId, { maxNewTokens: 500 }))
  for (const requestId of ['x', 'y']) accept('b', requestId)
  accept('a', 'light')
  clock.nowMs = 1_000
  /** The node does as it was told, and the gateway as well. */
  const resubmit = () => {
    send({ type: 'ended', ...light, reason: 'evicted', byPressure: false })
    return submit(task('light', { attempt: 1, numTokens: 30, numPromptTokens: 15, adapter }))
  }
  return { ...scheduler, accept, resubmit, end, tick: () => send({ type: 'tick' }) }
}

const light = { nodeId: 'a', requestId: 'light', attempt: 0 }
const evict = { type: 'evict', ...light, cause: 'consolidation' }

const reserved = ({ snapshot }: ReturnType<typeof start>): Record<string, string[]> =>
  Object.fromEntries(snapshot().nodes.map(({ nodeId, reserved: ids }) => [nodeId, ids]))

test('the lightest node is vacated where a heavier one has room, and the room is kept', () => {
  const scheduler = startLopsided()
  const { tick, snapshot, resubmit } = scheduler
  const before = snapshot().nodes.find(({ nodeId }) => nodeId === 'b')?.freePages ?? 0
  expect(tick()).toEqual([evict])
  expect(reserved(scheduler)).toEqual({ a: [], b: ['light'] })
  // A page for its tokens, three for its adapter.
  expect(snapshot().nodes.find(({ nodeId }) => nodeId === 'b')?.freePages).toBe(before - 4)
  expect(resubmit()).toMatchObject([{ type: 'assign', nodeId: 'b', task: { attempt: 1 } }])
  expect(reserved(scheduler)).toEqual({ a: [], b: [] })
})

test('reasons name source, target and cost; the landing says that room was kept', () => {
  const { reasons, send } = startLopsided()
  expect(reasons({ type: 'tick' }, 'evict')).toEqual([
    'consolidation: a with 1 sequences is vacated, room is kept on b, 15 tokens to recompute',
  ])
  const evicted = { ...light, reason: 'evicted' as const, byPressure: false }
  expect(reasons({ type: 'ended', ...evicted }, 'evict')).toEqual([])
  send({ type: 'tick' })
  const again = task('light', { attempt: 1, adapter })
  expect(reasons({ type: 'submitted', task: again }, 'move')).toEqual(['room was kept for it'])
})

test('the gateway may be faster than the word of the node', () => {
  const { tick, submit, send, snapshot } = startLopsided()
  tick()
  expect(submit(task('light', { attempt: 1, adapter }))).toMatchObject([
    { type: 'cancel', ...light },
    { type: 'assign', nodeId: 'b' },
  ])
  send({ type: 'ended', ...light, reason: 'evicted', byPressure: false })
  expect(snapshot().nodes.find(({ nodeId }) => nodeId === 'a')?.requests).toEqual([])
})

test('kept room counts for others, and is given up when nobody comes', () => {
  const scheduler = startLopsided()
  const { tick, placed, clock, report } = scheduler
  tick()
  expect(['p', 'q'].map((requestId) => placed(task(requestId)))).toEqual(['b', null])
  clock.nowMs = 4_000
  for (const nodeId of ['a', 'b']) report(statusOf(scheduler, nodeId))
  expect(reserved(scheduler)).toEqual({ a: [], b: ['light'] })
  expect(tick()).toMatchObject([{ type: 'assign', nodeId: 'b', task: { requestId: 'q' } }])
  expect(reserved(scheduler)).toEqual({ a: [], b: [] })
})

test('a request that ends or is cancelled instead gives up its room', () => {
  for (const instead of ['end', 'cancel'] as const) {
    const scheduler = startLopsided()
    scheduler.tick()
    if (instead === 'end') scheduler.end('a', 'light')
    else scheduler.send({ type: 'cancelled', requestId: 'light', gatewayId: 'gw' })
    expect(reserved(scheduler)).toEqual({ a: [], b: [] })
  }
})

test('where the room has gone meanwhile, the request is placed as any other', () => {
  const { tick, send, resubmit, report } = startLopsided()
  report(nodeStatus('c'))
  tick()
  send({ type: 'nodeLeft', nodeId: 'b' })
  expect(resubmit()).toMatchObject([{ type: 'assign', nodeId: 'c' }])
})

test.each([
  ['the pass is not due', { consolidationIntervalMs: null }, () => undefined],
  ['it has been moved just now', {}, moveFirst],
  ['it is about to end', { minRemainingTokens: 502 }, () => undefined],
  ['someone waits', {}, makeWait],
  ['it has not been accepted', {}, submitUnaccepted],
  [
    'the heavier one has no pages for it',
    {},
    ({ report }: ReturnType<typeof startLopsided>) =>
      report(nodeStatus('b', { freePages: 3, requests: running })),
  ],
])('nothing moves where %s', (_, options, prepare) => {
  const scheduler = startLopsided(options)
  prepare(scheduler)
  expect(scheduler.tick().filter(({ type }) => type === 'evict')).toEqual([])
})

const running = ['x', 'y'].map((requestId) => ({ requestId, attempt: 0 }))

function moveFirst({
  tick,
  resubmit,
  accept,
  report,
  send,
  clock,
  end,
}: ReturnType<typeof startLopsided>) {
  tick()
  // It lands on b, whose others end, and c becomes the heavier one.
  resubmit()
  accept('b', 'light', 1)
  report(nodeStatus('a', { state: 'draining', maxBatchSize: 1 }))
  for (const requestId of ['x', 'y']) end('b', requestId)
  const requests = ['p', 'q'].map((requestId) => ({ requestId, attempt: 0, gatewayId: 'gw' }))
  report(nodeStatus('c', { requests }))
  clock.nowMs = 2_500
  send({ type: 'gatewayReported', gatewayId: 'gw', leaving: false })
}

function makeWait({ submit }: ReturnType<typeof startLopsided>) {
  submit(task('huge', { numTokens: 1_000 }))
}

function submitUnaccepted({ end, submit, report }: ReturnType<typeof startLopsided>) {
  end('a', 'light')
  report(nodeStatus('b', { state: 'draining', requests: running }))
  submit(task('new', { maxNewTokens: 500 }))
  report(nodeStatus('b', { requests: running }))
}

test('a node that costs more to vacate than it would run for is left alone', () => {
  const { report, submit, send, clock } = start({ consolidationIntervalMs: 1_000 })
  report(
    nodeStatus('a', { maxBatchSize: 1, maxContext: 20_000, numPages: 9_999, freePages: 9_999 }),
  )
  submit(task('long', { numTokens: 10_000, maxNewTokens: 40 }))
  send({ type: 'assignAccepted', nodeId: 'a', requestId: 'long', attempt: 0 })
  const requests = running.map((request) => ({ ...request, gatewayId: 'gw' }))
  report(nodeStatus('b', { maxContext: 20_000, numPages: 9_999, freePages: 9_999, requests }))
  clock.nowMs = 1_000
  expect(send({ type: 'tick' })).toEqual([])
})

/** The node's status as the scheduler's own ledger has it. */
const statusOf = ({ snapshot }: ReturnType<typeof start>, nodeId: string): NodeStatus => {
  const node = snapshot().nodes.find((other) => other.nodeId === nodeId)
  return nodeStatus(nodeId, {
    maxBatchSize: node?.maxBatchSize ?? 1,
    requests: (node?.requests ?? []).map(({ requestId, attempt }) => ({ requestId, attempt })),
  })
}
