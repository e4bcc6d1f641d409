import type { TenantRecord } from '@punica/schema'
import { expect, test } from 'vitest'
import { nodeStatus, task } from './testing/fixtures.ts'
import { start } from './testing/start.ts'

const record = (rest: Partial<TenantRecord> = {}): TenantRecord => ({
  slug: 'acme',
  suspended: false,
  weight: 1,
  maxConcurrentRequests: null,
  maxTokensPerMinute: null,
  ...rest,
})

const startWith = (rest: Partial<TenantRecord>) => {
  const scheduler = start()
  scheduler.send({ type: 'tenantChanged', tenant: 'acme', record: record(rest) })
  scheduler.report(nodeStatus('a'))
  return scheduler
}

const refused = (message: string, retryAfterMs: unknown = expect.any(Number)) => [
  {
    type: 'reject',
    error: { code: 'quota_exceeded', message: expect.stringContaining(message), retryAfterMs },
  },
]

test('a tenant has so many requests at once, wherever they are', () => {
  const { submit, send, end } = startWith({ maxConcurrentRequests: 1 })
  submit(task('r1'))
  expect(submit(task('r2'))).toMatchObject(refused('1 requests under way, and its limit is 1'))
  expect(submit(task('other', { tenant: 'other' }))).toMatchObject([{ type: 'assign' }])

  // Between two nodes it is under way still, and it always comes back.
  const by = { nodeId: 'a', requestId: 'r1', attempt: 0, byPressure: true }
  send({ type: 'ended', reason: 'evicted', ...by })
  expect(submit(task('r3'))).toMatchObject(refused('limit is 1'))
  expect(submit(task('r1', { attempt: 1 }))).toMatchObject([{ type: 'assign' }])

  end('a', 'r1', 1)
  expect(submit(task('r4'))).toMatchObject([{ type: 'assign' }])
})

test('a request that never comes back from a move stops counting', () => {
  const { clock, submit, send, report } = startWith({ maxConcurrentRequests: 1 })
  submit(task('r1'))
  const by = { nodeId: 'a', requestId: 'r1', attempt: 0, byPressure: true }
  send({ type: 'ended', reason: 'evicted', ...by })
  clock.nowMs = 2_999
  send({ type: 'tick' })
  expect(submit(task('r2'))).toMatchObject([{ type: 'reject' }])
  clock.nowMs = 3_000
  send({ type: 'tick' })
  report(nodeStatus('a'))
  expect(submit(task('r3'))).toMatchObject([{ type: 'assign' }])
})

test('a request that is cancelled between two nodes stops counting', () => {
  const { submit, send } = startWith({ maxConcurrentRequests: 1 })
  submit(task('r1'))
  const by = { nodeId: 'a', requestId: 'r1', attempt: 0, byPressure: true }
  send({ type: 'ended', reason: 'evicted', ...by })
  send({ type: 'cancelled', requestId: 'r1', gatewayId: 'gw' })
  expect(submit(task('r2'))).toMatchObject([{ type: 'assign' }])
})

test('a tenant has so many tokens a minute, and is told when there are more', () => {
  const { clock, submit, send } = startWith({ maxTokensPerMinute: 100 })
  clock.nowMs = 5_000
  send({ type: 'gatewayReported', gatewayId: 'gw', leaving: false })
  expect(submit(task('r1', { numTokens: 40, maxNewTokens: 20 }))).toHaveLength(1)
  expect(submit(task('r2', { numTokens: 10, maxNewTokens: 31 }))).toMatchObject(
    refused('41 tokens, and the tenant has 60 of its 100', 61_000),
  )
  expect(submit(task('r3', { numTokens: 10, maxNewTokens: 30 }))).toHaveLength(1)
})

test('tokens that were asked for and never made are given back at the end', () => {
  const { submit, report, end } = startWith({ maxTokensPerMinute: 100 })
  submit(task('r1', { numTokens: 10, maxNewTokens: 90 }))
  expect(submit(task('r2'))).toMatchObject([{ type: 'reject' }])
  report(nodeStatus('a', { requests: [{ requestId: 'r1', attempt: 0, numTokens: 15 }] }))
  end('a', 'r1')
  expect(submit(task('r3', { numTokens: 10, maxNewTokens: 76 }))).toMatchObject([
    { type: 'reject' },
  ])
  expect(submit(task('r4', { numTokens: 10, maxNewTokens: 75 }))).toMatchObject([
    { type: 'assign' },
  ])
})

test('a request that is refused or cancelled in the queue has used no tokens', () => {
  const { submit, send } = start()
  send({ type: 'tenantChanged', tenant: 'acme', record: record({ maxTokensPerMinute: 100 }) })
  submit(task('r1', { numTokens: 10, maxNewTokens: 90 }))
  send({ type: 'cancelled', requestId: 'r1', gatewayId: 'gw' })
  expect(submit(task('r2', { numTokens: 10, maxNewTokens: 90 }))).toEqual([])
})

test('a request larger than a minute of tokens gets no hint to wait', () => {
  const { submit } = startWith({ maxTokensPerMinute: 100 })
  const [rejection] = submit(task('r1', { numTokens: 50, maxNewTokens: 51 }))
  expect(rejection).toMatchObject({
    error: { message: expect.stringContaining('Lower max_tokens') },
  })
  expect(rejection).not.toHaveProperty('error.retryAfterMs')
})

test('what has begun is never refused, and is not charged again', () => {
  const { submit, send } = startWith({ maxTokensPerMinute: 100 })
  submit(task('r1', { numTokens: 10, maxNewTokens: 90 }))
  const by = { nodeId: 'a', requestId: 'r1', attempt: 0, byPressure: true }
  send({ type: 'ended', reason: 'evicted', ...by })
  expect(submit(task('r1', { attempt: 1, maxNewTokens: 90 }))).toMatchObject([{ type: 'assign' }])
})

test('a record that is deleted limits nothing', () => {
  const { submit, send } = startWith({ maxConcurrentRequests: 1 })
  submit(task('r1'))
  send({ type: 'tenantChanged', tenant: 'acme', record: null })
  expect(submit(task('r2'))).toMatchObject([{ type: 'assign' }])
})

test('one tenant cannot fill the queue of all', () => {
  const { submit } = start({ maxQueue: 4, maxQueuePerTenant: 1 })
  submit(task('r1'))
  expect(submit(task('r2'))).toMatchObject([
    {
      type: 'reject',
      error: { code: 'overloaded', message: expect.stringContaining("tenant's part") },
    },
  ])
  expect(submit(task('r3', { tenant: 'other' }))).toEqual([])
})
