import { limits } from '@punica/schema'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Control, createControl } from './support/control.ts'
import { type System, startSystem } from './support/system.ts'
import { until } from './support/until.ts'

const maxContext = 1024

let system: System
let base: string
let control: Control

beforeAll(async () => {
  control = createControl()
  system = await startSystem({ onProgress: control.onProgress })
  base = system.cluster.baseModel
  await control.start(system)
})

afterAll(async () => {
  await system?.stop()
})

type Refusal = {
  status: number
  error: { code: string; message: string; type: string; param: string | null }
}

const post = async (
  body: unknown,
  { key = system.keys.acme, path = 'completions' }: { key?: string | null; path?: string } = {},
): Promise<Refusal> => {
  const response = await fetch(`${system.cluster.gatewayUrl}/v1/${path}`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      ...(key === null ? {} : { authorization: `Bearer ${key}` }),
    },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  })
  return { status: response.status, ...(await response.json()) }
}
const complete = (changes: object, key?: string): Promise<Refusal> =>
  post({ model: base, prompt: 'Once', max_tokens: 4, ...changes }, key === undefined ? {} : { key })

describe('a model', () => {
  test('that does not exist and one of another tenant are refused in the same words', async () => {
    for (const model of ['nothing', 'globex/nothing', 'french', 'globex/french', 'sql-helper@2']) {
      expect(await complete({ model }), model).toEqual({
        status: 404,
        error: {
          message: `The model "${model}" does not exist or you have no access to it`,
          type: 'invalid_request_error',
          param: 'model',
          code: 'model_not_found',
        },
      })
    }
  })

  test.each([
    '../sql-helper',
    'acme/../globex/french',
    'acme.sql-helper',
    'a/b/c',
    '@',
    'x'.repeat(201),
  ])('by the odd name %s is refused', async (model) => {
    const { status, error } = await complete({ model })
    expect(status === 404 || status === 400).toBe(true)
    expect(error.param).toBe('model')
  })
})

describe('a key', () => {
  const unauthenticated = (message: RegExp | string) => ({
    status: 401,
    error: {
      message: expect.stringMatching(message),
      type: 'authentication_error',
      param: null,
      code: 'unauthenticated',
    },
  })

  test('that is missing, malformed or unknown is refused', async () => {
    const body = { model: base, prompt: 'Once' }
    for (const key of [null, 'sk-123', 'pk_x', `${system.keys.acme}x`]) {
      expect(await post(body, { key })).toEqual(unauthenticated(/missing or malformed/))
    }
    const flipped = system.keys.acme.replace(/.$/, (last) => (last === 'A' ? 'B' : 'A'))
    expect(await post(body, { key: flipped })).toEqual(unauthenticated(/not valid/))
    expect(await post(body, { key: `pk_${'a'.repeat(12)}_${'b'.repeat(43)}` })).toEqual(
      unauthenticated(/not valid/),
    )
  })

  /** Keys reach the gateway, and leave it, within a moment. */
  const untilStatus = (key: string, status: number): Promise<Refusal> =>
    until(`HTTP ${status}`, async () => {
      const answer = await complete({}, key)
      return answer.status === status ? answer : null
    })
  const createKey = (changes: object) =>
    system.operator.createApiKey({ tenant: 'acme', name: 'k', scopes: ['GENERATE'], ...changes })

  test('that is revoked is refused', async () => {
    const { id, secret } = await createKey({})
    await untilStatus(secret, 200)
    await system.operator.graphql('mutation ($id: ID!) { revokeApiKey(id: $id) { __typename } }', {
      id,
    })
    expect(await untilStatus(secret, 401)).toEqual(unauthenticated(/not valid/))
  })

  test('that has expired is refused, and told when', async () => {
    const expiresAt = new Date(Date.now() + 5_000).toISOString()
    const { secret } = await createKey({ expiresAt })
    const refused = until('expiry', async () => {
      const answer = await complete({}, secret)
      return answer.error?.message.includes('expired') ? answer : null
    })
    expect(await refused).toEqual(unauthenticated(expiresAt))
  })

  test('for administration only may not generate', async () => {
    const { secret } = await createKey({ scopes: ['ADMIN'] })
    const { error } = await untilStatus(secret, 403)
    expect(error).toMatchObject({ code: 'forbidden', type: 'permission_error' })
    expect(error.message).toContain('generate')
  })
})

describe('a request', () => {
  test('longer than the context is refused with both numbers', async () => {
    const long = 'Once upon a time '.repeat(2_000)
    const tooLong = [
      [await complete({ prompt: long }), 'prompt'],
      [await complete({ prompt: Array(maxContext).fill(500) }), 'prompt'],
      [await complete({ max_tokens: maxContext }), 'max_tokens'],
      [await complete({ max_tokens: 1e9 }), 'max_tokens'],
      [
        await post(
          { model: base, messages: [{ role: 'user', content: long }] },
          { path: 'chat/completions' },
        ),
        'messages',
      ],
    ] as const
    for (const [{ status, error }, param] of tooLong) {
      expect([status, error.code, error.param]).toEqual([400, 'context_length_exceeded', param])
      expect(error.message).toMatch(new RegExp(`^${param}: .*${maxContext}`))
    }
  })

  test.each<[string, unknown, RegExp]>([
    ['temperature', 2.1, /2/],
    ['temperature', -0.1, /0/],
    ['temperature', 1e308, /2/],
    ['temperature', 'hot', /number/],
    ['top_p', 0, /0/],
    ['top_p', 1.01, /1/],
    ['top_k', -2, /-1/],
    ['top_k', 1.5, /int/],
    ['min_p', 2, /1/],
    ['n', 0, /1/],
    ['n', 17, /16/],
    ['max_tokens', 0, /0/],
    ['max_tokens', -5, /0/],
    ['max_tokens', 1.5, /int/],
    ['presence_penalty', 2.5, /2/],
    ['frequency_penalty', -2.5, /-2/],
    ['repetition_penalty', 0, /0/],
    ['seed', 0.5, /int/],
    ['seed', 1e300, /int/],
    ['logprobs', 21, /20/],
    ['stop', Array(17).fill('x'), /16/],
    ['stop', 'x'.repeat(257), /256/],
    ['logit_bias', { 4096: 1 }, /4096/],
    ['logit_bias', { 5: 101 }, /100/],
    ['logit_bias', { x: 1 }, /token id/],
    ['prompt', [4096], /4096/],
    ['prompt', [-1], /prompt/],
    ['prompt', [], /array/],
    ['echo', true, /false/],
    ['best_of', 2, /not a known field/],
    ['__proto__x', 1, /not a known field/],
  ])('with %s of %j is refused with field and limit', async (field, value, message) => {
    const { status, error } = await complete({ [field]: value })
    expect([status, error.code, error.type]).toEqual([
      400,
      'invalid_request',
      'invalid_request_error',
    ])
    expect(error.param?.split('.')[0]).toBe(field)
    expect(error.message).toMatch(message)
    expect(error.message.startsWith(field)).toBe(true)
  })

  test.each<[string, object, string]>([
    ['top_logprobs', { logprobs: true, top_logprobs: 21 }, 'top_logprobs'],
    ['no messages', { messages: [] }, 'messages'],
    ['an unknown role', { messages: [{ role: 'robot', content: '' }] }, 'messages.0.role'],
    [
      'an unknown part',
      { messages: [{ role: 'user', content: [{ type: 'image' }] }] },
      'messages.0.content',
    ],
    ['tools', { tools: [] }, 'tools'],
  ])('of a chat with %s is refused by name', async (_, changes, param) => {
    const body = { model: base, messages: [{ role: 'user', content: 'Hi' }], ...changes }
    const { status, error } = await post(body, { path: 'chat/completions' })
    expect([status, error.code, error.param]).toEqual([400, 'invalid_request', param])
  })

  test('whose body is no JSON, or the JSON of something else, is refused', async () => {
    for (const body of ['{"model": ', '', '[]', 'null', '"x"', `${'['.repeat(100_000)}`]) {
      const { status, error } = await post(body)
      expect([status, error.code]).toEqual([400, 'invalid_request'])
    }
  })

  test('over the limit in bytes is refused', async () => {
    const { status, error } = await complete({ prompt: 'x'.repeat(limits.requestBodyBytes) })
    expect([status, error.code]).toEqual([413, 'payload_too_large'])
    expect(error.message).toContain(String(limits.requestBodyBytes))
  })
})

test('nothing of this has touched the stream beside it, nor ended a process', async () => {
  await control.expectUntouched()
})
