import { channels, type GatewayStatus, type KeysUsed } from '@punica/schema'
import { afterEach, expect, test } from 'vitest'
import { createMailbox } from './testing/fake-pool.ts'
import { apiKeyOf } from './testing/fixtures.ts'
import { startGateway, type TestGateway, tokenizer } from './testing/start-gateway.ts'

let gateway: TestGateway

afterEach(() => gateway.stop())

const complete = (body: object = {}) =>
  fetch(`${gateway.url}/v1/completions`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${apiKeyOf('acme')}`,
      'content-type': 'application/json',
    },
    body: JSON.stringify({ model: 'base', prompt: 'x', ...body }),
  })

const statusesOf = ({ bus }: TestGateway) => {
  const statuses = createMailbox<GatewayStatus>()
  bus.subscribe(channels.gatewayStatus('default'), statuses.put)
  return statuses
}

test('a stop lets the answers under way end, and tells the pool', async () => {
  gateway = await startGateway()
  const statuses = statusesOf(gateway)
  const response = complete({ stream: true })
  const task = await gateway.pool.nextTask()
  const node = gateway.pool.node('n1')
  const tokens = tokenizer.encode('Hello there')
  node.send({ task, tokens: tokens.slice(0, 1), from: 0 })
  const body = (await response).text()
  const stopped = gateway.stop()
  node.send({ task, tokens: tokens.slice(1), from: 1 })
  node.send({ task, end: 'stop', numTokens: tokens.length })
  await stopped
  expect(await body).toMatch(/\[DONE\]\s*$/)
  let status = await statuses.take()
  while (!status.leaving) status = await statuses.take()
  expect(status).toEqual({ gatewayId: 'gw', requests: 0, leaving: true })
  await expect(complete()).rejects.toThrow()
})

test('what outlasts the grace ends with an error that may be retried', async () => {
  gateway = await startGateway({ SHUTDOWN_GRACE_MS: '0' })
  const response = complete({ stream: true })
  const task = await gateway.pool.nextTask()
  gateway.pool.node('n1').send({ task, tokens: tokenizer.encode('Hello'), from: 0 })
  const body = (await response).text()
  await gateway.stop()
  expect(await body).toMatch(/"code":"unavailable"\}\}\s*$/)
  expect(await gateway.pool.nextCancel()).toBe(task.requestId)
})

test('what has not begun to answer by then is refused with a status', async () => {
  gateway = await startGateway({ SHUTDOWN_GRACE_MS: '0' })
  const response = complete()
  await gateway.pool.nextTask()
  await gateway.stop()
  expect((await response).status).toBe(503)
  expect((await response).headers.get('retry-after')).toBe('1')
})

test('calls that no router takes wait, so many and so long; then they may be tried again', async () => {
  gateway = await startGateway({ MAX_HELD: '1', MAX_HOLD_MS: '60000' })
  gateway.pool.answer(null)
  const two = [complete(), complete()]
  const refused = await Promise.race(two)
  expect([refused.status, refused.headers.get('retry-after')]).toEqual([429, '1'])
  gateway.pool.answer(() => ({ type: 'queued' }))
  gateway.pool.lead(2)
  await gateway.answerNext('Hello')
  expect((await Promise.all(two)).map(({ status }) => status).toSorted()).toEqual([200, 429])
  await gateway.stop()

  gateway = await startGateway({ MAX_HOLD_MS: '0' })
  gateway.pool.answer(null)
  const late = await complete()
  expect([late.status, late.headers.get('retry-after')]).toEqual([503, '1'])
})

test('a call past its deadline is cancelled', async () => {
  gateway = await startGateway({ REQUEST_TIMEOUT_MS: '20' })
  const response = await complete()
  const task = await gateway.pool.nextTask()
  expect(task.deadlineMs - task.arrivalMs).toBe(20)
  expect(response.status).toBe(504)
  expect((await response.json()).error.message).toContain('20 ms')
  expect(await gateway.pool.nextCancel()).toBe(task.requestId)
})

test('the keys that were used are told to the control plane, each once and no other', async () => {
  gateway = await startGateway()
  const uses = createMailbox<KeysUsed>()
  gateway.bus.subscribe(channels.keysUsed, uses.put)
  const list = (key: string) =>
    fetch(`${gateway.url}/v1/models`, { headers: { authorization: `Bearer ${key}` } })
  await list(apiKeyOf('acme'))
  await list(apiKeyOf('acme'))
  await list(apiKeyOf('acme').replace(/.$/, '~'))
  await gateway.stop()
  const { prefixes } = await uses.take()
  expect(prefixes).toEqual([apiKeyOf('acme').split('_')[1]])
})
