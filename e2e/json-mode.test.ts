import { Ajv2020 } from 'ajv/dist/2020.js'
import formats from 'ajv-formats'
import type OpenAI from 'openai'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { randomSchema } from './support/random-schema.ts'
import {
  adapterNames,
  adapters,
  mapConcurrently,
  type System,
  startSystem,
} from './support/system.ts'

type ResponseFormat = NonNullable<OpenAI.Chat.ChatCompletionCreateParams['response_format']>

let system: System

beforeAll(async () => {
  system = await startSystem()
})

afterAll(async () => {
  await system?.stop()
})

const ask = async (
  seed: number,
  responseFormat: ResponseFormat,
  content = `Describe thing ${seed} as JSON.`,
): Promise<{ finish: string; text: string }> => {
  const name = adapterNames[seed % adapterNames.length] ?? 'bard'
  const { choices } = await system.openai(system.keys[adapters[name]]).chat.completions.create({
    model: name,
    messages: [{ role: 'user', content }],
    max_tokens: 300,
    temperature: seed % 3 === 0 ? 0 : 1,
    seed,
    response_format: responseFormat,
  })
  return { finish: choices[0]?.finish_reason ?? '', text: choices[0]?.message.content ?? '' }
}

test('a thousand random schemas: every completed answer is valid', async () => {
  const ajv = new Ajv2020({ strict: false })
  formats.default(ajv)
  const seeds = Array.from({ length: 1_000 }, (_, seed) => seed)
  const completed = await mapConcurrently(seeds, 64, async (seed) => {
    const schema = randomSchema(seed)
    const { finish, text } = await ask(seed, {
      type: 'json_schema',
      json_schema: { name: 'thing', strict: true, schema },
    })
    if (finish !== 'stop') return false
    const value: unknown = JSON.parse(text)
    const valid = ajv.compile(schema)(value)
    expect(valid, `${JSON.stringify(schema)}\n${text}`).toBe(true)
    return true
  })
  // The others ran into max_tokens, as answers of numbers and keys without end may.
  expect(completed.filter(Boolean).length).toBeGreaterThan(900)
}, 600_000)

test('json_object: any JSON object', async () => {
  const seeds = Array.from({ length: 40 }, (_, seed) => seed)
  const answers = await mapConcurrently(seeds, 40, (seed) => ask(seed, { type: 'json_object' }))
  for (const { finish, text } of answers) {
    expect(text.startsWith('{'), text).toBe(true)
    if (finish === 'stop') expect(JSON.parse(text)).toBeTypeOf('object')
  }
})

test('an answer streamed, or with several choices, is held to it as well', async () => {
  const schema = { type: 'object', properties: { n: { type: 'integer' } }, required: ['n'] }
  const format = { type: 'json_schema', json_schema: { name: 'n', schema } } as const
  const client = system.openai(system.keys.acme)
  const body = {
    model: 'sentiment',
    messages: [{ role: 'user', content: 'How many?' }],
    max_tokens: 100,
    n: 3,
    response_format: format,
  } as const
  const texts = ['', '', '']
  for await (const chunk of await client.chat.completions.create({
    ...body,
    messages: [...body.messages],
    stream: true,
  })) {
    for (const { index, delta } of chunk.choices) texts[index] += delta.content ?? ''
  }
  for (const text of texts) expect(JSON.parse(text)).toEqual({ n: expect.any(Number) })
})

test('what cannot be held to is refused by name', async () => {
  const refused = async (format: unknown, more: object = {}): Promise<unknown> => {
    const client = system.openai(system.keys.acme)
    const messages = [{ role: 'user' as const, content: 'x' }]
    const body = { model: 'sentiment', messages, response_format: format, ...more }
    // What the client's types would not let pass is sent all the same.
    return client.post('/chat/completions', { body }).catch((err: unknown) => err)
  }
  const schema = (value: object) => ({
    type: 'json_schema',
    json_schema: { name: 'x', schema: value },
  })
  expect(await refused(schema({ type: 'string', pattern: 'a' }))).toMatchObject({
    status: 400,
    param: 'response_format.json_schema.schema',
    message: expect.stringContaining('/pattern is not supported'),
  })
  expect(await refused({ type: 'json_object' }, { ignore_eos: true })).toMatchObject({
    status: 400,
    param: 'ignore_eos',
  })
  expect(await refused({ type: 'xml' })).toMatchObject({
    status: 400,
    param: 'response_format.type',
  })
})
