import { connect } from 'node:net'
import {
  ChatCompletion,
  ChatCompletionChunk,
  Completion,
  ErrorBody,
  limits,
  ModelList,
} from '@punica/schema'
import OpenAI from 'openai'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { apiKeyOf } from '../testing/fixtures.ts'
import { startGateway, type TestGateway, tokenizer } from '../testing/start-gateway.ts'

let gateway: TestGateway
let openai: OpenAI

beforeAll(async () => {
  gateway = await startGateway({ MAX_INFLIGHT: '4' })
  openai = new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey: apiKeyOf('acme'), maxRetries: 0 })
})
afterAll(() => gateway.stop())

const post = (path: string, body: unknown, headers: Record<string, string> = {}) =>
  fetch(`${gateway.url}/v1/${path}`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${apiKeyOf('acme')}`,
      'content-type': 'application/json',
      ...headers,
    },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  })

/** The JSON values of a stream of server-sent events, and `[DONE]` as it is. */
const events = async (response: Response) =>
  (await response.text())
    .trimEnd()
    .split('\n\n')
    .map((line) => line.replace(/^data: /, ''))
    .map((data) => (data === '[DONE]' ? data : JSON.parse(data)))

const chat = { model: 'poet', messages: [{ role: 'user', content: 'Hi' }] }

describe('an answer in one piece', () => {
  test('of a chat has the shape of OpenAI', async () => {
    const [response, task] = await Promise.all([
      post('chat/completions', { ...chat, seed: 5 }),
      gateway.answerNext('Hello there'),
    ])
    expect(task).toMatchObject({ tenant: 'acme', sampling: { seed: 5 }, stopTokens: [2] })
    expect(task.adapter?.rank).toBe(8)
    const numTokens = tokenizer.encode('Hello there').length
    const requestId = response.headers.get('x-request-id')
    expect(response.headers.get('x-punica-node')).toBe('n1')
    expect(await response.json()).toEqual({
      id: `chatcmpl-${requestId}`,
      object: 'chat.completion',
      created: expect.any(Number),
      model: 'poet',
      choices: [
        {
          index: 0,
          message: { role: 'assistant', content: 'Hello there', refusal: null },
          logprobs: null,
          finish_reason: 'stop',
        },
      ],
      usage: {
        prompt_tokens: task.tokens.length,
        completion_tokens: numTokens,
        total_tokens: task.tokens.length + numTokens,
      },
      punica: { node: 'n1', adapters_in_batch: 1 },
    })
  })

  test('of a completion has each choice, sampled with its own seed', async () => {
    const [response, first, second] = await Promise.all([
      post('completions', { model: 'base', prompt: 'Once', n: 2, seed: 5, max_tokens: 8 }),
      gateway.answerNext(' upon', 'length'),
      gateway.answerNext(' more'),
    ])
    expect([first.sampling.seed, second.sampling.seed]).toEqual([5, 6])
    expect(first).toMatchObject({ adapter: null, maxNewTokens: 8 })
    const body = await response.json()
    expect(body).toMatchObject({
      object: 'text_completion',
      choices: [
        { index: 0, text: ' upon', logprobs: null, finish_reason: 'length' },
        { index: 1, text: ' more', logprobs: null, finish_reason: 'stop' },
      ],
    })
    expect(body.usage.prompt_tokens).toBe(first.tokens.length)
  })
})

describe('the OpenAPI document', () => {
  const logprobs = { logprob: -0.25, top: [{ token: 7, logprob: -1.5 }] }
  const answer = async (path: string, body: object): Promise<Response> => {
    const response = post(path, body)
    const task = await gateway.pool.nextTask()
    const [hello = 0] = tokenizer.encode('Hello')
    gateway.pool
      .node('n1')
      .send({ task, tokens: [hello], from: 0, logprobs }, { task, end: 'length', numTokens: 1 })
    return response
  }
  const asked = { logprobs: true, top_logprobs: 1 }

  test('is served, to everybody', async () => {
    const response = await fetch(`${gateway.url}/openapi.json`)
    expect(await response.json()).toMatchObject({ openapi: '3.1.0' })
  })

  test('is true of what is answered', async () => {
    const whole = await answer('chat/completions', { ...chat, ...asked })
    ChatCompletion.parse(await whole.json())
    const options = { stream: true, stream_options: { include_usage: true } }
    const stream = await answer('chat/completions', { ...chat, ...asked, ...options })
    for (const chunk of (await events(stream)).slice(0, -1)) ChatCompletionChunk.parse(chunk)
    const prompt = { model: 'base', prompt: 'Once', logprobs: 1 }
    Completion.parse(await (await answer('completions', prompt)).json())
    const pieces = await events(await answer('completions', { ...prompt, ...options }))
    for (const piece of pieces.slice(0, -1)) Completion.parse(piece)
    ErrorBody.parse(await (await post('completions', {})).json())
    const headers = { authorization: `Bearer ${apiKeyOf('acme')}` }
    ModelList.parse(await (await fetch(`${gateway.url}/v1/models`, { headers })).json())
  })
})

describe('log-probabilities', () => {
  const [hello = 0] = tokenizer.encode('Hello')
  const [half = 0] = tokenizer.encode('👩')
  const logprobs = { logprob: -0.25, top: [{ token: half, logprob: -1.5 }] }

  const answer = async (path: string, body: object) => {
    const response = post(path, body)
    const task = await gateway.pool.nextTask()
    gateway.pool
      .node('n1')
      .send(
        { task, tokens: [hello], from: 0, logprobs },
        { task, tokens: [2], from: 1, logprobs },
        { task, end: 'stop', numTokens: 2 },
      )
    return (await response).json()
  }

  test('of a chat name tokens by text and bytes', async () => {
    const body = await answer('chat/completions', { ...chat, logprobs: true, top_logprobs: 1 })
    const name = tokenizer.tokenText(hello)
    expect(body.choices[0].logprobs).toEqual({
      content: [
        {
          token: name,
          logprob: -0.25,
          bytes: [...Buffer.from(name)],
          top_logprobs: [{ token: 'bytes:\\xf0', logprob: -1.5, bytes: [0xf0] }],
        },
      ],
      refusal: null,
    })
  })

  test('of a completion are lists', async () => {
    const body = await answer('completions', { model: 'base', prompt: 'x', logprobs: 1 })
    const name = tokenizer.tokenText(hello)
    expect(body.choices[0].logprobs).toEqual({
      tokens: [name],
      token_logprobs: [-0.25],
      top_logprobs: [{ 'bytes:\\xf0': -1.5, [name]: -0.25 }],
      text_offset: [0],
    })
  })
})

describe('a stream', () => {
  test('has a role, pieces, a reason, the usage and [DONE]', async () => {
    const [response, task] = await Promise.all([
      post('chat/completions', {
        ...chat,
        stream: true,
        stream_options: { include_usage: true },
      }),
      gateway.answerNext('Hello there'),
    ])
    expect(response.headers.get('content-type')).toBe('text/event-stream; charset=utf-8')
    expect(response.headers.get('x-punica-node')).toBe('n1')
    expect(response.headers.get('x-request-id')).toMatch(/^[0-9a-f]{32}$/)
    const [opening, ...rest] = await events(response)
    expect(opening).toEqual({
      id: expect.stringMatching(/^chatcmpl-/),
      object: 'chat.completion.chunk',
      created: expect.any(Number),
      model: 'poet',
      choices: [
        {
          index: 0,
          delta: { role: 'assistant', content: '' },
          logprobs: null,
          finish_reason: null,
        },
      ],
      usage: null,
      punica: { node: 'n1', adapters_in_batch: 1 },
    })
    expect(rest.pop()).toBe('[DONE]')
    expect(rest.pop()).toMatchObject({
      choices: [],
      usage: { prompt_tokens: task.tokens.length },
    })
    expect(rest.pop().choices).toEqual([
      { index: 0, delta: {}, logprobs: null, finish_reason: 'stop' },
    ])
    expect(rest.map((chunk) => chunk.choices[0].delta.content).join('')).toBe('Hello there')
    for (const chunk of rest) expect(chunk.punica).toEqual({ node: 'n1', adapters_in_batch: 1 })
  })

  test('of a completion ends at a stop string', async () => {
    const [response] = await Promise.all([
      post('completions', { model: 'base', prompt: 'x', stream: true, stop: [' there'] }),
      gateway.answerNext('Hello there and more'),
    ])
    const chunks = await events(response)
    expect(chunks.pop()).toBe('[DONE]')
    expect(chunks.map((chunk) => chunk.choices[0].text).join('')).toBe('Hello')
    expect(chunks.at(-1).choices[0].finish_reason).toBe('stop')
    expect(chunks[0]).not.toHaveProperty('usage')
    await gateway.pool.nextCancel()
  })

  test('that fails before its first token has an HTTP status of its own', async () => {
    const response = post('chat/completions', { ...chat, stream: true })
    const task = await gateway.pool.nextTask()
    gateway.pool.reject(task, { code: 'adapter_invalid', message: 'no tensor x' })
    expect((await response).status).toBe(422)
    expect((await (await response).json()).error).toEqual({
      message: 'no tensor x',
      type: 'invalid_request_error',
      param: null,
      code: 'adapter_invalid',
    })
  })

  test('that fails in the middle ends with an error event', async () => {
    const response = post('chat/completions', { ...chat, stream: true })
    const task = await gateway.pool.nextTask()
    const node = gateway.pool.node('n2')
    node.send({ task, tokens: tokenizer.encode('Hello'), from: 0 })
    const error = { code: 'internal' as const, message: 'step failed' }
    node.send({ task, end: 'error', numTokens: 1, error })
    const chunks = await events(await response)
    expect(chunks.at(-1)).toEqual({
      error: { message: 'step failed', type: 'server_error', param: null, code: 'internal' },
    })
  })

  test('whose client goes away is cancelled', async () => {
    const leaving = new AbortController()
    const response = await Promise.all([
      fetch(`${gateway.url}/v1/completions`, {
        method: 'POST',
        headers: {
          authorization: `Bearer ${apiKeyOf('acme')}`,
          'content-type': 'application/json',
        },
        body: JSON.stringify({ model: 'base', prompt: 'x', stream: true }),
        signal: leaving.signal,
      }),
      gateway.pool.nextTask().then((task) => {
        gateway.pool.node('n3').send({ task, tokens: [hello], from: 0 })
        return task
      }),
    ])
    leaving.abort()
    expect(await gateway.pool.nextCancel()).toBe(response[1].requestId)
  })

  const [hello = 0] = tokenizer.encode('Hello')

  test('whose client does not read is cancelled and does not hold memory', async () => {
    const socket = connect(Number(new URL(gateway.url).port), '127.0.0.1')
    const body = JSON.stringify({ model: 'base', prompt: [5], stream: true, logprobs: 20 })
    socket.write(
      `POST /v1/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${apiKeyOf('acme')}\r\n` +
        `content-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
    )
    socket.pause()
    const task = await gateway.pool.nextTask()
    const cancelled = gateway.pool.nextCancel()
    const node = gateway.pool.node('n4')
    const top = Array.from({ length: 20 }, (_, i) => ({ token: 300 + i, logprob: -1 }))
    const logprobs = { logprob: -1, top }
    let isCancelled = false
    void cancelled.then(() => {
      isCancelled = true
    })
    for (let from = 0; from < 20_000 && !isCancelled; from += 100) {
      node.send({ task, tokens: Array(100).fill(hello), from, logprobs })
      node.forget()
      await new Promise((resolve) => setImmediate(resolve))
    }
    expect(await cancelled).toBe(task.requestId)
    socket.destroy()
  })
})

describe('a refusal', () => {
  test.each([
    ['no key', {}, { authorization: '' }, 401, 'unauthenticated', null],
    ['a wrong key', {}, { authorization: `Bearer ${apiKeyOf('x')}` }, 401, 'unauthenticated', null],
    ['a foreign adapter', { ...chat, model: 'globex/x' }, {}, 404, 'model_not_found', 'model'],
    ['an unknown field', { ...chat, tools: [] }, {}, 400, 'invalid_request', 'tools'],
    ['a wrong value', { ...chat, temperature: -1 }, {}, 400, 'invalid_request', 'temperature'],
    ['broken JSON', '{"model": ', {}, 400, 'invalid_request', null],
    ['an empty body', '', {}, 400, 'invalid_request', null],
    ['poisoned JSON', '{"__proto__": {}}', {}, 400, 'invalid_request', null],
    ['another type', 'x', { 'content-type': 'text/plain' }, 400, 'invalid_request', null],
    [
      'a long prompt',
      { ...chat, messages: [{ role: 'user', content: 'x '.repeat(2_000) }] },
      {},
      400,
      'context_length_exceeded',
      'messages',
    ],
  ])('of %s says what is wrong', async (_, body, headers, status, code, param) => {
    const response = await post('chat/completions', body, headers)
    expect(response.status).toBe(status)
    const { error } = await response.json()
    expect(error).toEqual({
      message: expect.any(String),
      type: expect.stringMatching(/_error$/),
      param,
      code,
    })
    expect(response.headers.get('x-request-id')).toMatch(/^[0-9a-f]{32}$/)
  })

  test('of a large body comes before it is read', async () => {
    const response = await post('completions', 'x'.repeat(limits.requestBodyBytes + 1))
    expect(response.status).toBe(413)
    expect((await response.json()).error.message).toContain('4194304 bytes')
  })

  test('of an unknown path is an error of the API', async () => {
    const response = await fetch(`${gateway.url}/v2/x?key=1`)
    expect(response.status).toBe(404)
    expect((await response.json()).error).toMatchObject({
      code: 'not_found',
      message: 'There is no GET /v2/x',
    })
  })

  test('by a full router says when to come back', async () => {
    const error = { code: 'overloaded' as const, message: 'full', retryAfterMs: 2_500 }
    gateway.pool.answer(() => ({ type: 'refused', error }))
    const response = await post('chat/completions', { ...chat, stream: true })
    gateway.pool.answer(() => ({ type: 'queued' }))
    await gateway.pool.nextTask()
    expect(response.status).toBe(429)
    expect(response.headers.get('retry-after')).toBe('3')
  })

  test('for too many sequences under way is bounded here, too', async () => {
    const response = await post('chat/completions', { ...chat, n: 5 })
    expect(response.status).toBe(429)
    expect((await response.json()).error.message).toContain('4 sequences')
  })
})

describe('the official client', () => {
  test('lists and finds models', async () => {
    const ids: string[] = []
    for await (const model of openai.models.list()) ids.push(model.id)
    expect(ids).toEqual(['base', 'poet', 'spy'])
    expect(await openai.models.retrieve('acme/poet')).toMatchObject({ id: 'acme/poet' })
    await expect(openai.models.retrieve('globex/x')).rejects.toMatchObject({
      status: 404,
      code: 'model_not_found',
    })
  })

  test('reads a stream', async () => {
    const answered = gateway.answerNext('Hello 👩‍👩‍👧‍👦 there')
    const stream = await openai.chat.completions.create({
      model: 'poet',
      messages: [{ role: 'user', content: 'Hi' }],
      stream: true,
    })
    let text = ''
    for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? ''
    expect(text).toBe('Hello 👩‍👩‍👧‍👦 there')
    await answered
  })

  test('throws what a broken stream says', async () => {
    const stream = openai.chat.completions.create({
      model: 'poet',
      messages: [{ role: 'user', content: 'Hi' }],
      stream: true,
    })
    const task = await gateway.pool.nextTask()
    const node = gateway.pool.node('n5')
    node.send({ task, tokens: tokenizer.encode('Hello'), from: 0 })
    node.send({ task, end: 'error', numTokens: 1, error: { code: 'internal', message: 'broke' } })
    const read = async () => {
      for await (const _ of await stream);
    }
    await expect(read()).rejects.toThrow(/broke/)
  })
})

test('health needs no key and readiness follows the bus', async () => {
  expect((await fetch(`${gateway.url}/health`)).status).toBe(200)
  expect((await fetch(`${gateway.url}/ready`)).status).toBe(200)
})
