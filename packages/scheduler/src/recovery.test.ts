import { expect, test } from 'vitest'
import { nodeStatus, task } from './testing/fixtures.ts'
import { start } from './testing/start.ts'

const settleMs = 400

/** A scheduler that has just taken over. */
const startAnew = () => {
  const scheduler = start()
  const { send, clock } = scheduler
  send({ type: 'tookOver', settleMs })
  return {
    ...scheduler,
    settle: () => {
      clock.nowMs += settleMs
      return send({ type: 'tick' })
    },
    waits: (...requests: [requestId: string, attempt: number, nodeId: string | null][]) =>
      send({
        type: 'gatewayWaits',
        gatewayId: 'gw',
        requests: requests.map(([requestId, attempt, nodeId]) => ({ requestId, attempt, nodeId })),
      }),
    runs: (nodeId: string, ...requests: [requestId: string, attempt: number][]) =>
      send({
        type: 'nodeReported',
        status: nodeStatus(nodeId, {
          requests: requests.map(([requestId, attempt]) => ({
            requestId,
            attempt,
            gatewayId: 'gw',
          })),
        }),
      }),
  }
}

test('nothing is placed before nodes and gateways have had time to answer', () => {
  const { runs, submit, settle, reasons } = startAnew()
  runs('a')
  expect(submit(task('late', { arrivalMs: 2 }))).toEqual([])
  expect(reasons({ type: 'submitted', task: task('early', { arrivalMs: 1 }) }, 'queue')).toEqual([
    'the nodes have yet to say what they run',
  ])
  expect(settle()).toMatchObject([
    { type: 'assign', task: { requestId: 'early' } },
    { type: 'assign', task: { requestId: 'late' } },
  ])
})

test('what runs and is wanted is adopted, whoever says so first', () => {
  for (const isNodeFirst of [true, false]) {
    const { runs, waits, settle, submit, snapshot } = startAnew()
    const say = [() => runs('a', ['r1', 2]), () => waits(['r1', 2, 'a'])]
    for (const one of isNodeFirst ? say : say.reverse()) expect(one()).toEqual([])
    expect(submit(task('r1', { attempt: 2 }))).toEqual([])
    expect(settle()).toEqual([])
    expect(snapshot().nodes[0]?.requests).toEqual([
      { requestId: 'r1', attempt: 2, unwanted: false },
    ])
  }
})

test('what waited at the last leader and runs by now is adopted out of the queue', () => {
  const { runs, waits, submit, settle, snapshot } = startAnew()
  waits(['r1', 0, null])
  submit(task('r1', { wasQueued: true }))
  expect(runs('a', ['r1', 0])).toEqual([])
  expect(settle()).toEqual([])
  expect(snapshot()).toMatchObject({ queue: [], nodes: [{ requests: [{ requestId: 'r1' }] }] })
})

test('what is wanted and does not run goes back to its gateway, whoever says so first', () => {
  const interrupt = { type: 'interrupt', gatewayId: 'gw', requestId: 'r1', attempt: 1 }
  const a = startAnew()
  expect(a.runs('a')).toEqual([])
  expect(a.waits(['r1', 1, 'a'])).toEqual([{ ...interrupt, cause: 'not_running' }])
  const b = startAnew()
  expect(b.waits(['r1', 1, 'a'])).toEqual([])
  expect(b.runs('b')).toEqual([])
  expect(b.runs('a')).toEqual([{ ...interrupt, cause: 'not_running' }])
  expect(b.runs('a')).toEqual([])
})

test('what was on a node that is gone goes back to its gateway after the time of a heartbeat', () => {
  const { waits, send, clock } = startAnew()
  waits(['r1', 0, 'gone'], ['r2', 0, null])
  clock.nowMs = 2_900
  send({ type: 'gatewayReported', gatewayId: 'gw', leaving: false })
  expect(send({ type: 'tick' })).toEqual([])
  clock.nowMs = 3_000
  expect(send({ type: 'tick' })).toMatchObject([
    { type: 'interrupt', requestId: 'r1', attempt: 0, cause: 'not_running' },
  ])
})

test('what runs and is not wanted is cancelled, whoever says so first', () => {
  const cancels = [
    { type: 'cancel', nodeId: 'a', requestId: 'gone', attempt: 0 },
    { type: 'cancel', nodeId: 'a', requestId: 'old', attempt: 0 },
  ]
  const a = startAnew()
  a.runs('a', ['gone', 0], ['old', 0], ['kept', 0])
  expect(a.waits(['old', 1, 'b'], ['kept', 0, 'a'])).toEqual(cancels)
  const b = startAnew()
  b.waits(['old', 1, 'b'], ['kept', 0, 'a'])
  expect(b.runs('a', ['gone', 0], ['old', 0], ['kept', 0])).toEqual(cancels)
})

test('what began after the list was taken is none of it', () => {
  const { runs, waits, submit, settle } = startAnew()
  runs('a')
  submit(task('new'))
  settle()
  expect(waits()).toEqual([])
})

test('what the last leader had queued is not refused for want of room or quota', () => {
  const { send, submit, snapshot } = start({ maxQueue: 1 })
  send({ type: 'tookOver', settleMs })
  send({
    type: 'tenantChanged',
    tenant: 'acme',
    record: {
      slug: 'acme',
      suspended: false,
      weight: 1,
      maxConcurrentRequests: 1,
      maxTokensPerMinute: 1,
    },
  })
  for (const requestId of ['r1', 'r2']) submit(task(requestId, { wasQueued: true }))
  expect(snapshot().queue).toHaveLength(2)
  expect(submit(task('r3'))).toMatchObject([{ type: 'reject', requestId: 'r3' }])
})

test('nobody is lost for a silence of which the scheduler itself is the cause', () => {
  const { report, send, clock, submit } = start()
  report(nodeStatus('a'))
  submit(task('r1'))
  send({ type: 'tick' })
  clock.nowMs = 2_900
  send({ type: 'resumed' })
  send({ type: 'tick' })
  for (const nowMs of [4_000, 5_800]) {
    clock.nowMs = nowMs
    expect(send({ type: 'tick' })).toEqual([])
  }
  clock.nowMs = 6_000
  expect(send({ type: 'tick' })).toContainEqual(
    expect.objectContaining({ type: 'interrupt', requestId: 'r1', cause: 'node_lost' }),
  )
})
