import { memoryBus } from '@punica/bus'
import { ApiEvent, type Channel, channels, limits, tenantInboxPrefix } from '@punica/schema'
import { pino } from '@punica/service'
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest'
import type { CallEvent } from '../requests/calls.ts'
import { createMailbox } from '../testing/fake-pool.ts'
import { apiKeyOf } from '../testing/fixtures.ts'
import { startGateway, type TestGateway, tokenizer } from '../testing/start-gateway.ts'
import { openNatsFace } from './face.ts'

let gateway: TestGateway

beforeAll(async () => {
  gateway = await startGateway()
})
afterAll(() => gateway.stop())

let numInboxes = 0

/** Publishes a call as acme's client does, unless told otherwise; `next` is the next answer. */
const publish = (
  message: object,
  { tenant = 'acme', inboxOf = tenant }: { tenant?: string; inboxOf?: string } = {},
) => {
  const replyTo = `${tenantInboxPrefix(inboxOf)}.${numInboxes++}`
  const inbox: Channel<ApiEvent> = { subject: replyTo, schema: ApiEvent }
  const { put, take: next } = createMailbox<ApiEvent>()
  gateway.bus.subscribe(inbox, put)
  const call = {
    type: 'chat' as const,
    id: `c${numInboxes}`,
    apiKey: apiKeyOf('acme'),
    body: { model: 'poet', messages: [{ role: 'user', content: 'Hi' }] },
    ...message,
  }
  gateway.bus.publish(channels.generate(tenant), call, { replyTo })
  const untilEnd = async (): Promise<ApiEvent[]> => {
    const events: ApiEvent[] = []
    for (;;) {
      const event = await next()
      events.push(event)
      if (event.type === 'done' || event.type === 'error') return events
    }
  }
  return { id: call.id, next, untilEnd }
}

test('a call is answered in order, numbered without gaps', async () => {
  const { untilEnd } = publish({})
  const task = await gateway.answerNext('Hello there')
  const events = await untilEnd()
  expect(events.map(({ seq }) => seq)).toEqual(events.map((_, i) => i))
  expect(events[0]).toEqual({ type: 'accepted', seq: 0, model: 'poet' })
  const text = events.map((event) => (event.type === 'delta' ? event.text : '')).join('')
  expect(text).toBe('Hello there')
  expect(events[1]).toMatchObject({ choice: 0, numTokens: 1, nodeId: 'n1', numAdapters: 1 })
  expect(events.at(-2)).toMatchObject({ type: 'finished', choice: 0, reason: 'stop' })
  expect(events.at(-1)).toMatchObject({
    type: 'done',
    usage: {
      prompt_tokens: task.tokens.length,
      completion_tokens: tokenizer.encode('Hello there').length,
    },
  })
})

test('a completion is a call, too', async () => {
  const { untilEnd } = publish({ type: 'completion', body: { model: 'base', prompt: 'Once' } })
  await gateway.answerNext(' upon', 'length')
  expect((await untilEnd()).at(-2)).toMatchObject({ type: 'finished', reason: 'length' })
})

describe('an error', () => {
  test.each([
    ['a key of another tenant', { apiKey: apiKeyOf('globex') }, 'forbidden', undefined],
    ['a broken key', { apiKey: 'x' }, 'unauthenticated', undefined],
    [
      'a wrong value',
      { body: { model: 'poet', messages: [], temperature: 9 } },
      'invalid_request',
      'temperature',
    ],
    ['a body of another kind', { body: 'Hi' }, 'invalid_request', undefined],
    [
      'an unknown model',
      { body: { model: 'x', messages: [{ role: 'user', content: 'Hi' }] } },
      'model_not_found',
      'model',
    ],
    [
      'more log-probabilities than there may be',
      { type: 'completion', body: { model: 'base', prompt: 'x', logprobs: 99 } },
      'invalid_request',
      'logprobs',
    ],
  ])('names %s', async (_, message, code, param) => {
    const error = expect.objectContaining(param === undefined ? { code } : { code, param })
    expect(await publish(message).untilEnd()).toEqual([{ type: 'error', seq: 0, error }])
  })

  test('refuses an id that is under way', async () => {
    const first = publish({ id: 'same' })
    await first.next()
    expect(await publish({ id: 'same' }).next()).toMatchObject({ error: { code: 'conflict' } })
    await gateway.answerNext('x')
    await first.untilEnd()
  })
})

test('an abort ends the call, for its own tenant only', async () => {
  const { id, next } = publish({})
  await next()
  const task = await gateway.pool.nextTask()
  const { bus } = gateway
  bus.publish(channels.abort('globex'), { id, apiKey: apiKeyOf('globex') })
  bus.publish(channels.abort('acme'), { id, apiKey: apiKeyOf('globex') })
  bus.publish(channels.abort('acme'), { id, apiKey: apiKeyOf('acme') })
  expect(await next()).toMatchObject({ type: 'error', seq: 1, error: { code: 'cancelled' } })
  expect(await gateway.pool.nextCancel()).toBe(task.requestId)
})

test('answers never go to an inbox of somebody else', async () => {
  const foreign = publish({}, { inboxOf: 'globex' })
  const own = publish({})
  await own.next()
  const task = await gateway.answerNext('x')
  await own.untilEnd()
  expect(task.tenant).toBe('acme')
  const silent = Symbol('silent')
  expect(await Promise.race([foreign.next(), Promise.resolve(silent)])).toBe(silent)
})

test('log-probabilities come with the tokens that they are of', async () => {
  const messages = [{ role: 'user', content: 'Hi' }]
  const { untilEnd } = publish({
    body: { model: 'poet', messages, logprobs: true, top_logprobs: 1 },
  })
  const task = await gateway.pool.nextTask()
  expect(task.sampling.numLogprobs).toBe(1)
  const [a = 0, b = 0] = tokenizer.encode('Hello there')
  const logprobs = { logprob: -0.5, top: [{ token: b, logprob: -0.25 }] }
  gateway.pool
    .node('n1')
    .send({ task, tokens: [a], from: 0, logprobs }, { task, end: 'length', numTokens: 1 })
  const deltas = (await untilEnd()).filter((event) => event.type === 'delta')
  expect(deltas.flatMap(({ logprobs }) => logprobs)).toEqual([
    {
      token: tokenizer.tokenText(a),
      logprob: -0.5,
      bytes: [...tokenizer.tokenBytes(a)],
      top_logprobs: [
        { token: tokenizer.tokenText(b), logprob: -0.25, bytes: [...tokenizer.tokenBytes(b)] },
      ],
    },
  ])
})

test('a call that is quiet says that it is alive, and one that has ended does not', async () => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
  onTestFinished(() => {
    vi.useRealTimers()
  })
  const bus = memoryBus()
  let tell: (event: CallEvent) => void = () => {}
  const face = openNatsFace({
    refusals: { refuse: () => {} },
    bus,
    names: tokenizer,
    log: pino({ level: 'silent' }),
    newRequestId: () => 'r1',
    gateway: {
      authenticate: () => ({ tenant: 'acme' }),
      listModels: () => [],
      begin: (_, listener) => {
        tell = listener
        return { cancel: () => {}, fail: () => {} }
      },
    },
  })
  const heard: string[] = []
  const replyTo = `${tenantInboxPrefix('acme')}.quiet`
  bus.subscribe({ subject: replyTo, schema: ApiEvent }, ({ type }) => heard.push(type))
  const call = {
    type: 'completion' as const,
    id: 'c',
    apiKey: 'k',
    body: { model: 'm', prompt: 'x' },
  }
  bus.publish(channels.generate('acme'), call, { replyTo })
  const beat = async (): Promise<void> => {
    await bus.flush()
    vi.advanceTimersByTime(limits.heartbeatMs)
    await bus.flush()
  }
  await beat()
  tell({ type: 'accepted' })
  await beat()
  await beat()
  tell({ type: 'done', usage: { prompt_tokens: 1, completion_tokens: 0, total_tokens: 1 } })
  await beat()
  await beat()
  expect(heard).toEqual(['alive', 'accepted', 'alive', 'done'])
  face.close()
  await bus.close()
})

test('models are those of the tenant', async () => {
  const { bus } = gateway
  const inboxed = channels.models('acme')
  const ask = (apiKey: string, tenant: string) => {
    const replyTo = `${tenantInboxPrefix(tenant)}.models${numInboxes++}`
    const { put, take } = createMailbox<unknown>()
    bus.subscribe({ subject: replyTo, schema: inboxed.reply }, put)
    const call: Channel<{ apiKey: string }> = { subject: inboxed.subject, schema: inboxed.request }
    bus.publish(call, { apiKey }, { replyTo })
    return take()
  }
  expect(await ask(apiKeyOf('acme'), 'acme')).toMatchObject({
    type: 'models',
    data: [{ id: 'base' }, { id: 'poet' }, { id: 'spy' }],
  })
  expect(await ask(apiKeyOf('globex'), 'acme')).toMatchObject({ error: { code: 'forbidden' } })
})
