import {
  type AbortCall,
  ApiEvent,
  AppError,
  channels,
  type GenerateMessage,
  type ModelsReply,
  toWireError,
} from '@punica/schema'
import { createClient } from 'graphql-ws'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import WebSocket from 'ws'
import type { PlaygroundAnswer } from '../generated/graphql.ts'
import { type Harness, startHarness } from '../testing/harness.ts'

let harness: Harness
let keys: { admin: string; user: string }

beforeAll(async () => {
  harness = await startHarness()
  keys = await harness.createTenant('acme')
  await harness.createTenant('globex')
})
afterAll(() => harness.stop())

/** A gateway that says what a test tells it to; each event is sent when the test asks for it. */
let calls: (GenerateMessage & { say(...events: ApiEvent[]): void })[] = []
let aborted: AbortCall[] = []
let knows: (key: string) => boolean = () => true
let stops: (() => void)[] = []

beforeEach(() => {
  calls = []
  aborted = []
  knows = () => true
  const { bus } = harness
  stops = [
    bus.subscribe(channels.generate('*'), (call, { replyTo }) => {
      const say = (...events: ApiEvent[]): void => {
        for (const event of events) bus.reply(replyTo, ApiEvent, event)
      }
      calls.push({ ...call, say })
    }),
    bus.subscribe(channels.abort('*'), (call) => void aborted.push(call)),
    bus.serve(channels.models('*'), ({ apiKey }): ModelsReply => {
      if (knows(apiKey)) return { type: 'models', data: [] }
      const error = toWireError(new AppError('unauthenticated', 'The API key is not valid'))
      return { type: 'error', error }
    }),
  ]
})
afterEach(() => {
  for (const stop of stops) stop()
})

const start = (input: object, key: string) => {
  const client = createClient({
    url: harness.url.replace('http', 'ws').concat('/graphql'),
    webSocketImpl: WebSocket,
    connectionParams: { authorization: `Bearer ${key}` },
    retryAttempts: 0,
    lazyCloseTimeout: 0,
  })
  const query = `subscription ($input: PlaygroundInput!) { playground(input: $input) { answers {
    model text numTokens nodeId adaptersInBatch timeToFirstTokenMs generationMs finishReason
    problem { code message field } } } }`
  const updates = client.iterate<{ playground: { answers: PlaygroundAnswer[] } }>({
    query,
    variables: { input },
  })
  return { client, updates }
}

/** All updates, put together by model. */
const readAll = async ({ client, updates }: ReturnType<typeof start>) => {
  const answers = new Map<string, PlaygroundAnswer>()
  for await (const { data, errors } of updates) {
    if (errors !== undefined) throw new Error(JSON.stringify(errors))
    for (const answer of data?.playground.answers ?? []) {
      const before = answers.get(answer.model)?.text ?? ''
      answers.set(answer.model, { ...answer, text: before + answer.text })
    }
  }
  await client.dispose()
  return answers
}

const untilCalled = (count: number) => expect.poll(() => calls.length).toBe(count)

const delta = (seq: number, text: string): ApiEvent => ({
  type: 'delta',
  seq,
  choice: 0,
  text,
  numTokens: seq,
  nodeId: `node-${seq}`,
  numAdapters: 2,
})
const accepted: ApiEvent = { type: 'accepted', seq: 0, model: 'a' }
const usage = { prompt_tokens: 1, completion_tokens: 2, total_tokens: 3 }

test('asks all models at once with the key of the caller, and streams each answer', async () => {
  const input = { models: ['bard', 'french'], prompt: 'Sing.', maxTokens: 7, seed: 3 }
  const all = readAll(start(input, keys.user))
  await untilCalled(2)
  expect(calls.map(({ apiKey }) => apiKey)).toEqual([keys.user, keys.user])
  expect(calls[0]?.body).toEqual({
    model: 'bard',
    messages: [{ role: 'user', content: 'Sing.' }],
    max_tokens: 7,
    temperature: 0,
    seed: 3,
  })
  const error = toWireError(new AppError('model_not_found', 'There is no french'))
  calls[1]?.say(accepted, { type: 'error', seq: 1, error })
  calls[0]?.say(
    accepted,
    delta(1, 'la'),
    delta(2, ' li'),
    { type: 'finished', seq: 3, choice: 0, reason: 'length' },
    { type: 'done', seq: 4, usage },
  )
  const answers = await all
  expect(answers.get('bard')).toMatchObject({
    text: 'la li',
    numTokens: 2,
    nodeId: 'node-2',
    adaptersInBatch: 2,
    timeToFirstTokenMs: expect.any(Number),
    finishReason: 'LENGTH',
    problem: null,
  })
  expect(answers.get('french')).toMatchObject({
    text: '',
    timeToFirstTokenMs: null,
    finishReason: null,
    problem: { code: 'model_not_found', message: 'There is no french' },
  })
})

test('ends the requests when nobody reads any more', async () => {
  const { client, updates } = start({ models: ['a', 'b'], prompt: 'x' }, keys.user)
  const first = updates.next()
  await untilCalled(2)
  calls[0]?.say(accepted, delta(1, 'x'))
  await first
  await client.dispose()
  await expect.poll(() => aborted.map(({ id }) => id)).toEqual(calls.map(({ id }) => id))
})

test('makes an operator one key of the tenant, and waits until gateways know it', async () => {
  let numRefused = 0
  knows = () => ++numRefused > 2
  const once = async (): Promise<void> => {
    const numBefore = calls.length
    const input = { tenant: 'globex', models: ['a'], prompt: 'x' }
    const all = readAll(start(input, harness.operatorKey))
    await untilCalled(numBefore + 1)
    calls[numBefore]?.say(accepted, { type: 'done', seq: 1, usage })
    await all
  }
  await once()
  await once()
  expect(calls[0]?.apiKey).toBe(calls[1]?.apiKey)
  const made = await harness.db.apiKey.findMany({
    where: { name: 'Playground', tenant: { slug: 'globex' } },
  })
  expect(made).toMatchObject([{ scopes: ['GENERATE'], expiresAt: expect.any(Date) }])
  expect(calls[0]?.apiKey).toContain(made[0]?.prefix)
})

const one = { models: ['a'], prompt: 'x' }
test.each([
  ['no tenant by an operator', one, 'operator', 'invalid_request'],
  ['a tenant that is none', { ...one, tenant: 'none' }, 'operator', 'not_found'],
  ['another tenant', { ...one, tenant: 'globex' }, 'user', 'forbidden'],
  ['no model', { ...one, models: [] }, 'user', 'invalid_request'],
  ['one model twice', { ...one, models: ['a', 'a'] }, 'user', 'invalid_request'],
  ['too many models', { ...one, models: [...'abcdefghi'] }, 'user', 'invalid_request'],
  ['an empty prompt', { ...one, prompt: '' }, 'user', 'invalid_request'],
  ['too many tokens', { ...one, maxTokens: 5000 }, 'user', 'invalid_request'],
] as const)('refuses %s', async (_, input, who, code) => {
  const { client, updates } = start(input, who === 'user' ? keys.user : harness.operatorKey)
  const refused = await updates.next().then(
    ({ value }) => value?.errors,
    (errors: unknown) => errors,
  )
  expect(refused).toMatchObject([{ extensions: { code } }])
  expect(calls).toEqual([])
  await client.dispose()
})
