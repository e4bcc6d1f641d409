import { channels, type Task, type UsageEvent, usageStream } from '@punica/schema'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { createMailbox } from '../testing/fake-pool.ts'
import { apiKeyOf } from '../testing/fixtures.ts'
import { startGateway, type TestGateway, tokenizer } from '../testing/start-gateway.ts'

let gateway: TestGateway
let usage: ReturnType<typeof createMailbox<UsageEvent>>

beforeEach(async () => {
  gateway = await startGateway()
  usage = createMailbox<UsageEvent>()
  let seq = 0
  await gateway.bus.follow({
    stream: usageStream,
    schema: channels.usage('acme').schema,
    position: async () => ({ created: '', seq }),
    handle: async (messages, position) => {
      seq = position.seq
      for (const { value } of messages) usage.put(value)
    },
  })
})
afterEach(() => gateway.stop())

const call = (body: object, signal?: AbortSignal) =>
  fetch(`${gateway.url}/v1/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${apiKeyOf('acme')}`, 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'poet', prompt: 'x', ...body }),
    ...(signal === undefined ? {} : { signal }),
  })

const tokens = tokenizer.encode('Hello there, my friend')
const send = (task: Task, from: number, to: number, nodeId = 'n1') =>
  gateway.pool.node(nodeId).send({ task, tokens: tokens.slice(from, to), from })

test('what an answer says of its usage is what is billed, all choices in one account', async () => {
  const response = call({ n: 2 })
  for (const numTokens of [3, 5]) {
    const task = await gateway.pool.nextTask()
    send(task, 0, numTokens)
    gateway.pool.node('n1').send({ task, end: 'stop', numTokens })
  }
  const answer = await (await response).json()
  const event = await usage.take()
  expect(answer.usage).toMatchObject({ prompt_tokens: 2, completion_tokens: 8 })
  expect(event).toMatchObject({ tenant: 'acme', promptTokens: 2, completionTokens: 8, final: true })
  expect(`cmpl-${event.requestId}`).toBe(answer.id)
  expect(event.adapterDigest).toMatch(/^[0-9a-f]{64}$/)
})

test('a client that leaves pays for what it was sent, whatever its nodes have made', async () => {
  const client = new AbortController()
  const response = await Promise.all([
    call({ stream: true }, client.signal),
    gateway.pool.nextTask().then((task) => send(task, 0, 2)),
  ]).then(([response]) => response)
  const reader = response.body?.getReader()
  await reader?.read()
  gateway.pool.node('n1').restart()
  client.abort()
  expect(await usage.take()).toMatchObject({ promptTokens: 2, completionTokens: 2, final: true })
})

test('tokens that come again after a move are paid for once', async () => {
  const response = call({})
  const first = await gateway.pool.nextTask()
  send(first, 0, 3)
  gateway.pool.interrupt(first)
  const second = await gateway.pool.nextTask()
  send(second, 1, 5, 'n2')
  gateway.pool.node('n2').send({ task: second, end: 'stop', numTokens: 5 })
  expect((await (await response).json()).usage.completion_tokens).toBe(5)
  expect(await usage.take()).toMatchObject({ promptTokens: 2, completionTokens: 5 })
})

test('a stop string is paid for up to the token that completes it', async () => {
  const response = call({ stop: ' there' })
  send(await gateway.pool.nextTask(), 0, tokens.length)
  const answer = await (await response).json()
  expect(answer.choices[0].text).toBe('Hello')
  expect(answer.usage.completion_tokens).toBeLessThan(tokens.length)
  expect(await usage.take()).toMatchObject({ completionTokens: answer.usage.completion_tokens })
})

test('a call that fails before its answer costs nothing', async () => {
  const error = { code: 'adapter_invalid' as const, message: 'broken' }
  const failed = call({})
  gateway.pool.reject(await gateway.pool.nextTask(), error)
  expect((await failed).status).toBe(422)
  const answered = call({})
  const task = await gateway.pool.nextTask()
  send(task, 0, 1)
  gateway.pool.node('n1').send({ task, end: 'stop', numTokens: 1 })
  await answered
  expect(await usage.take()).toMatchObject({ completionTokens: 1 })
})
