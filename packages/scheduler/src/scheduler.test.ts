import { Decision } from '@punica/schema'
import { expect, test } from 'vitest'
import { adapterRef, nodeStatus, task } from './testing/fixtures.ts'
import { start } from './testing/start.ts'

const overloaded = { code: 'overloaded' as const, message: 'full' }

test('the busiest node with room gets the request', () => {
  const { report, placed } = start()
  report(nodeStatus('a', { requests: [{ requestId: 'x', attempt: 0 }] }))
  report(nodeStatus('b'))
  expect(placed(task('r1'))).toBe('a')
})

test('a tie goes to the highest id', () => {
  const { report, placed } = start()
  report(nodeStatus('b'))
  report(nodeStatus('c'))
  report(nodeStatus('a'))
  expect(placed(task('r1'))).toBe('c')
})

test('a node at its batch limit gets nothing, and what is assigned counts before it is reported', () => {
  const { report, placed } = start()
  report(nodeStatus('a', { maxBatchSize: 2 }))
  report(nodeStatus('b', { maxBatchSize: 2 }))
  expect([1, 2, 3, 4, 5].map((n) => placed(task(`r${n}`)))).toEqual(['b', 'b', 'a', 'a', null])
})

test('a late status does not undo what was assigned since', () => {
  const { report, placed } = start()
  report(nodeStatus('a', { freePages: 1 }))
  expect(placed(task('r1'))).toBe('a')
  report(nodeStatus('a', { freePages: 1 }))
  expect(placed(task('r2'))).toBe(null)
})

test('pages are counted for prompt, generated tokens and the next one', () => {
  const { report, submit, placed } = start()
  report(nodeStatus('a', { freePages: 1 }))
  expect(placed(task('r1', { numTokens: 16 }))).toBe(null)
  expect(report(nodeStatus('a', { freePages: 2 }))).toMatchObject([{ type: 'assign' }])
  report(nodeStatus('b', { freePages: 1 }))
  expect(submit(task('r2', { numTokens: 15 }))).toMatchObject([{ type: 'assign', nodeId: 'b' }])
})

test('an adapter takes pages unless a request uses it there', () => {
  const adapter = adapterRef('a', 1_000)
  const adapters = [
    { digest: adapter.digest, tier: 'device' as const, sizeBytes: 300, requests: 0 },
  ]
  const { report, placed, snapshot } = start({ maxQueue: 1 })
  report(nodeStatus('a', { freePages: 10 }))
  expect(placed(task('big', { adapter }))).toBe(null)
  report(nodeStatus('a', { freePages: 12, adapters }))
  // Idle but loaded: the node says that it takes 3 pages rather than 10, and 1 for KV.
  expect(snapshot().nodes[0]?.freePages).toBe(8)
  // The second request shares the adapter.
  expect(placed(task('next', { adapter }))).toBe('a')
  expect(snapshot().nodes[0]?.freePages).toBe(7)
})

test('the pages of a shared adapter stay counted when the first of its requests goes', () => {
  const adapter = adapterRef('a', 1_000)
  const { report, placed, send, snapshot } = start()
  report(nodeStatus('a'))
  placed(task('r1', { adapter }))
  placed(task('r2', { adapter }))
  expect(snapshot().nodes[0]?.freePages).toBe(64 - 10 - 2)
  const error = { code: 'invalid_request' as const, message: 'no' }
  send({ type: 'assignRefused', nodeId: 'a', requestId: 'r1', attempt: 0, error })
  expect(snapshot().nodes[0]?.freePages).toBe(64 - 10 - 1)
})

test('first come, first served: a request that does not fit blocks those behind it', () => {
  const { report, placed, end, snapshot } = start()
  report(nodeStatus('a', { numPages: 4, freePages: 4 }))
  expect(placed(task('r1', { numTokens: 40 }))).toBe('a')
  expect(placed(task('large', { numTokens: 40, arrivalMs: 1 }))).toBe(null)
  expect(placed(task('small', { arrivalMs: 2 }))).toBe(null)
  expect(snapshot().queue.map(({ requestId }) => requestId)).toEqual(['large', 'small'])
  expect(end('a', 'r1').map((c) => c.type === 'assign' && c.task.requestId)).toEqual([
    'large',
    'small',
  ])
})

test('an evicted request comes back to its place in the order of arrival', () => {
  const { report, submit, send, snapshot } = start()
  report(nodeStatus('a', { maxBatchSize: 1 }))
  submit(task('old', { arrivalMs: 1 }))
  submit(task('late', { arrivalMs: 5 }))
  const by = { nodeId: 'a', requestId: 'old', attempt: 0, byPressure: true }
  report(nodeStatus('a', { maxBatchSize: 1, state: 'draining' }))
  send({ type: 'ended', reason: 'evicted', ...by })
  submit(task('old', { attempt: 1, arrivalMs: 1, numTokens: 17 }))
  expect(snapshot().queue).toEqual([
    { requestId: 'old', attempt: 1 },
    { requestId: 'late', attempt: 0 },
  ])
})

test('a full queue refuses new requests with a hint, and never those that have begun', () => {
  const { submit } = start({ maxQueue: 1 })
  expect(submit(task('r1'))).toEqual([])
  expect(submit(task('r2'))).toMatchObject([
    { type: 'reject', requestId: 'r2', error: { code: 'overloaded', retryAfterMs: 1_000 } },
  ])
  expect(submit(task('r3', { attempt: 1 }))).toEqual([])
})

test('draining, failed and starting nodes and those of another base model get nothing', () => {
  const { report, placed } = start({ baseModel: 'base' })
  report(nodeStatus('a', { state: 'draining' }))
  report(nodeStatus('b', { state: 'failed' }))
  report(nodeStatus('c', { state: 'starting' }))
  report(nodeStatus('d', { baseModel: 'other' }))
  expect(placed(task('r1'))).toBe(null)
})

test('without a setting, the first node says what the pool serves', () => {
  const { report, placed } = start()
  report(nodeStatus('a'))
  report(nodeStatus('b', { baseModel: 'other' }))
  expect(placed(task('r1'))).toBe('a')
})

test('a repeated submission changes nothing, a newer attempt replaces the older', () => {
  const { report, submit, snapshot } = start()
  report(nodeStatus('a'))
  expect(submit(task('r1'))).toMatchObject([{ type: 'assign' }])
  expect(submit(task('r1'))).toEqual([])
  expect(submit(task('r1', { attempt: 1 }))).toMatchObject([
    { type: 'cancel', requestId: 'r1', attempt: 0 },
    { type: 'assign', task: { attempt: 1 } },
  ])
  expect(submit(task('r1'))).toEqual([])
  expect(snapshot().nodes[0]?.requests).toEqual([
    { requestId: 'r1', attempt: 0, unwanted: true },
    { requestId: 'r1', attempt: 1, unwanted: false },
  ])
})

test('the request id of another gateway is refused', () => {
  const { submit } = start()
  submit(task('r1'))
  expect(submit(task('r1', { gatewayId: 'other' }))).toMatchObject([
    { type: 'reject', gatewayId: 'other', error: { code: 'conflict' } },
  ])
})

test('a cancel takes a waiting request out and stops a running one', () => {
  const { report, submit, send, snapshot } = start()
  submit(task('waits'))
  expect(send({ type: 'cancelled', requestId: 'waits', gatewayId: 'gw' })).toEqual([])
  expect(snapshot().queue).toEqual([])
  report(nodeStatus('a'))
  submit(task('runs'))
  expect(send({ type: 'cancelled', requestId: 'runs', gatewayId: 'other' })).toEqual([])
  expect(send({ type: 'cancelled', requestId: 'runs', gatewayId: 'gw' })).toEqual([
    { type: 'cancel', nodeId: 'a', requestId: 'runs', attempt: 0 },
  ])
  // It takes room until the node lets go of it, and a node that has not heard is told again.
  expect(report(nodeStatus('a', { requests: [{ requestId: 'runs', attempt: 0 }] }))).toEqual([
    { type: 'cancel', nodeId: 'a', requestId: 'runs', attempt: 0 },
  ])
  report(nodeStatus('a'))
  expect(snapshot().nodes[0]?.requests).toEqual([])
})

test('a refusal that may pass goes elsewhere, up to the bound', () => {
  const { report, submit, send } = start({ maxRefusals: 2 })
  report(nodeStatus('a'))
  report(nodeStatus('b'))
  submit(task('r1'))
  const refusal = { type: 'assignRefused' as const, requestId: 'r1', attempt: 0, error: overloaded }
  expect(send({ ...refusal, nodeId: 'b' })).toMatchObject([{ type: 'assign', nodeId: 'a' }])
  expect(send({ ...refusal, nodeId: 'a' })).toMatchObject([{ type: 'reject', error: overloaded }])
})

test('a refused request waits until the node reports again', () => {
  const { report, submit, send, snapshot } = start()
  report(nodeStatus('a'))
  submit(task('r1'))
  send({ type: 'assignRefused', nodeId: 'a', requestId: 'r1', attempt: 0, error: overloaded })
  expect(snapshot().queue).toEqual([{ requestId: 'r1', attempt: 0 }])
  expect(report(nodeStatus('a'))).toMatchObject([{ type: 'assign', nodeId: 'a' }])
})

test('a refusal for good is the answer', () => {
  const { report, submit, send } = start()
  report(nodeStatus('a'))
  submit(task('r1'))
  const error = { code: 'adapter_invalid' as const, message: 'lora_B is missing' }
  expect(
    send({ type: 'assignRefused', nodeId: 'a', requestId: 'r1', attempt: 0, error }),
  ).toMatchObject([{ type: 'reject', gatewayId: 'gw', error }])
})

test('an unanswered assignment is dropped there and submitted again as the next attempt', () => {
  const { report, submit, send } = start()
  report(nodeStatus('a'))
  submit(task('r1'))
  expect(
    send({ type: 'assignUnanswered', nodeId: 'a', requestId: 'r1', attempt: 0 }),
  ).toMatchObject([
    { type: 'cancel', nodeId: 'a', attempt: 0 },
    { type: 'interrupt', gatewayId: 'gw', attempt: 0, cause: 'assign_unanswered' },
  ])
  // It did arrive, only the answer was lost.
  const requests = [{ requestId: 'r1', attempt: 0 }]
  expect(report(nodeStatus('a', { requests }))).toMatchObject([{ type: 'cancel', attempt: 0 }])
})

test('an assignment that the status names was answered, however late the answer', () => {
  const { report, submit, send, snapshot } = start()
  report(nodeStatus('a'))
  submit(task('r1'))
  report(nodeStatus('a', { requests: [{ requestId: 'r1', attempt: 0 }] }))
  expect(send({ type: 'assignUnanswered', nodeId: 'a', requestId: 'r1', attempt: 0 })).toEqual([])
  expect(snapshot().nodes[0]?.requests).toHaveLength(1)
})

test('an accepted request that its node no longer names has ended', () => {
  const { report, submit, send, snapshot } = start()
  report(nodeStatus('a'))
  submit(task('r1'))
  report(nodeStatus('a'))
  expect(snapshot().nodes[0]?.requests).toHaveLength(1)
  send({ type: 'assignAccepted', nodeId: 'a', requestId: 'r1', attempt: 0 })
  report(nodeStatus('a'))
  expect(snapshot().nodes[0]?.requests).toEqual([])
})

test('the requests of a silent node are interrupted', () => {
  const { clock, report, submit, send, snapshot } = start()
  report(nodeStatus('a'))
  submit(task('r1'))
  send({ type: 'tick' })
  clock.nowMs = 3_000
  send({ type: 'gatewayReported', gatewayId: 'gw', leaving: false })
  expect(send({ type: 'tick' })).toEqual([])
  clock.nowMs = 3_001
  expect(send({ type: 'tick' })).toMatchObject([{ type: 'interrupt', cause: 'node_lost' }])
  expect(snapshot().nodes).toEqual([])
})

test('after a pause of its own the scheduler loses nobody', () => {
  const { clock, report, send, snapshot } = start()
  report(nodeStatus('a'))
  send({ type: 'tick' })
  clock.nowMs = 60_000
  send({ type: 'tick' })
  expect(snapshot().nodes).toHaveLength(1)
})

test.each([
  [
    'node_restarted',
    (s: ReturnType<typeof start>) => s.report(nodeStatus('a', { incarnation: 'second' })),
  ],
  [
    'node_failed',
    (s: ReturnType<typeof start>) =>
      s.report(nodeStatus('a', { state: 'failed', reason: 'no memory' })),
  ],
  ['node_left', (s: ReturnType<typeof start>) => s.send({ type: 'nodeLeft', nodeId: 'a' })],
])('%s interrupts what ran there', (cause, happen) => {
  const s = start()
  s.report(nodeStatus('a'))
  s.submit(task('r1'))
  expect(happen(s)).toMatchObject([{ type: 'interrupt', requestId: 'r1', attempt: 0, cause }])
})

test('a lost gateway has its requests cancelled', () => {
  const { clock, report, submit, send, snapshot } = start()
  submit(task('other', { gatewayId: 'stays' }))
  report(nodeStatus('a', { maxBatchSize: 1 }))
  expect(send({ type: 'gatewayReported', gatewayId: 'stays', leaving: true })).toMatchObject([
    { type: 'cancel', requestId: 'other' },
  ])
  submit(task('waits'))
  clock.nowMs = 2_000
  send({ type: 'tick' })
  report(nodeStatus('a', { maxBatchSize: 1, state: 'draining' }))
  clock.nowMs = 3_001
  send({ type: 'tick' })
  expect(snapshot()).toMatchObject({ queue: [], gateways: [] })
})

test('a request that no node could ever run is rejected and does not block the others', () => {
  const { report, submit } = start()
  report(nodeStatus('a', { numPages: 4, freePages: 4 }))
  expect(submit(task('r1', { numTokens: 64 }))).toMatchObject([
    { type: 'reject', error: { code: 'context_length_exceeded' } },
  ])
  expect(submit(task('r2', { numTokens: 1_024 }))).toMatchObject([
    { type: 'reject', error: { message: expect.stringContaining('1024 tokens') } },
  ])
  expect(submit(task('r3'))).toMatchObject([{ type: 'assign' }])
})

test('a request whose deadline passes in the queue is rejected', () => {
  const { clock, submit, send } = start()
  submit(task('r1', { deadlineMs: 1_000 }))
  clock.nowMs = 1_000
  expect(send({ type: 'tick' })).toMatchObject([
    { type: 'reject', requestId: 'r1', error: { code: 'deadline_exceeded' } },
  ])
})

test('a new scheduler adopts what runs', () => {
  const { report, submit, send, snapshot } = start()
  report(nodeStatus('a', { requests: [{ requestId: 'r1', attempt: 2, gatewayId: 'gw' }] }))
  expect(submit(task('r1', { attempt: 2 }))).toEqual([])
  expect(snapshot().gateways).toEqual(['gw'])
  expect(send({ type: 'nodeLeft', nodeId: 'a' })).toMatchObject([
    { type: 'interrupt', gatewayId: 'gw', requestId: 'r1', attempt: 2 },
  ])
})

test('a node that returns has its older attempts cancelled, and a waiting one goes on where it runs', () => {
  const { report, submit, snapshot } = start()
  submit(task('moved', { attempt: 1 }))
  submit(task('same', { attempt: 1 }))
  const requests = [
    { requestId: 'moved', attempt: 0 },
    { requestId: 'same', attempt: 1 },
  ]
  expect(report(nodeStatus('a', { state: 'draining', requests }))).toEqual([
    { type: 'cancel', nodeId: 'a', requestId: 'moved', attempt: 0 },
  ])
  expect(snapshot().queue).toEqual([{ requestId: 'moved', attempt: 1 }])
})

test('the same attempt on two nodes is left by both and submitted again', () => {
  const { report, submit } = start()
  report(nodeStatus('a'))
  submit(task('r1', { attempt: 1 }))
  const requests = [{ requestId: 'r1', attempt: 1 }]
  expect(report(nodeStatus('b', { requests }))).toMatchObject([
    { type: 'interrupt', requestId: 'r1', attempt: 1 },
    { type: 'cancel', nodeId: 'a' },
    { type: 'cancel', nodeId: 'b' },
  ])
})

test('every decision is a value with a reason in words', () => {
  const { handle } = start()
  const decisions = [
    handle({ type: 'submitted', task: task('r1') }),
    handle({ type: 'nodeReported', status: nodeStatus('a') }),
    handle({ type: 'submitted', task: task('r2') }),
    handle({ type: 'nodeLeft', nodeId: 'a' }),
  ].flatMap((commands) => commands.flatMap((c) => (c.type === 'decide' ? [c.decision] : [])))
  expect(decisions.map((decision) => Decision.parse(decision).kind)).toEqual([
    'queue',
    'place',
    'place',
    'interrupt',
    'interrupt',
  ])
  expect(decisions.map(({ seq }) => seq)).toEqual([0, 1, 2, 3, 4])
  expect(decisions[0]?.reason).toBe('no node is ready')
  expect(decisions[1]?.reason).toContain('0 of 4 sequences, needs 1 of 64 free pages')
})
