import { ChatBody, CompletionBody } from '@punica/schema'
import { loadTokenizer } from '@punica/tokenizer'
import { describe, expect, test } from 'vitest'
import { parseBody } from '../gateway.ts'
import { modelFolder } from '../testing/fixtures.ts'
import { planChat, planCompletion } from './plan.ts'
import { seedOfChoice } from './sampling.ts'

const tokenizer = await loadTokenizer(modelFolder)
const base = { name: 'base', pool: 'default', maxContext: 64 }
const model = { base, adapter: null, adapterName: null }
const common = { requestId: 'r', tenant: 'acme', model, tokenizer }

const complete = (body: object) =>
  planCompletion({ ...common, body: parseBody(CompletionBody, { model: 'base', ...body }) })
const chat = (body: object) =>
  planChat({
    ...common,
    body: parseBody(ChatBody, {
      model: 'base',
      messages: [{ role: 'user', content: 'Hi' }],
      ...body,
    }),
  })

test('a chat is rendered by its template, up to where the answer begins', () => {
  const { promptTokens } = chat({})
  expect(promptTokens).toEqual(tokenizer.encode('<s><|user|>Hi<|assistant|>'))
  const parts = [
    { type: 'text', text: 'a' },
    { type: 'text', text: 'b' },
  ]
  expect(chat({ messages: [{ role: 'user', content: parts }] }).promptTokens).toEqual(
    tokenizer.encode('<s><|user|>a\nb<|assistant|>'),
  )
})

test('a plain prompt gets its BOS; ids are taken as they are', () => {
  expect(complete({ prompt: 'Once' }).promptTokens).toEqual([1, ...tokenizer.encode('Once')])
  expect(complete({ prompt: [5, 6] }).promptTokens).toEqual([5, 6])
  expect(complete({ prompt: '' }).promptTokens).toEqual([1])
})

test('absent parameters are the defaults of OpenAI', () => {
  const { sampling, maxNewTokens, numChoices, stops, ignoreEos } = complete({ prompt: [5, 6] })
  expect(sampling).toEqual({ temperature: 1, seed: expect.any(Number) })
  expect({ maxNewTokens, numChoices, stops, ignoreEos }).toEqual({
    maxNewTokens: 62,
    numChoices: 1,
    stops: [],
    ignoreEos: false,
  })
})

test('parameters become those of the engine', () => {
  const plan = chat({
    temperature: 0,
    top_k: 5,
    top_p: 0.9,
    min_p: 0.1,
    repetition_penalty: 1.1,
    presence_penalty: 0.5,
    frequency_penalty: -0.5,
    logit_bias: { '7': -100 },
    seed: 42,
    n: 3,
    stop: 'END',
    logprobs: true,
    top_logprobs: 4,
    max_completion_tokens: 9,
    max_tokens: 3,
  })
  expect(plan).toMatchObject({ numChoices: 3, stops: ['END'], maxNewTokens: 9 })
  expect(plan.sampling).toEqual({
    temperature: 0,
    topK: 5,
    topP: 0.9,
    minP: 0.1,
    repetitionPenalty: 1.1,
    presencePenalty: 0.5,
    frequencyPenalty: -0.5,
    logitBias: [[7, -100]],
    numLogprobs: 4,
    seed: 42,
  })
  expect(chat({ top_k: -1 }).sampling.topK).toBeUndefined()
  expect(chat({ logprobs: true }).sampling.numLogprobs).toBe(0)
  expect(complete({ prompt: [5], logprobs: 2 }).sampling.numLogprobs).toBe(2)
})

test('seeds are whole numbers that JSON carries, whatever was asked for', () => {
  expect(chat({ seed: -1 }).sampling.seed).toBe(Number.MAX_SAFE_INTEGER - 1)
  expect(chat({}).sampling.seed).not.toBe(chat({}).sampling.seed)
  expect(seedOfChoice(5, 2)).toBe(7)
  expect(seedOfChoice(Number.MAX_SAFE_INTEGER, 2)).toBe(1)
})

describe('is refused by field and limit:', () => {
  const longText = 'word '.repeat(100)
  test.each([
    ['an unknown field', () => chat({ tools: [] }), 'tools', /tools: is not a known field/],
    ['a temperature', () => chat({ temperature: 3 }), 'temperature', /temperature: .*2/],
    ['no prompt', () => complete({}), 'prompt', /string or a non-empty array/],
    [
      'a part that is no text',
      () => chat({ messages: [{ role: 'user', content: [{ type: 'image_url' }] }] }),
      'messages.0.content',
      /parts/,
    ],
    [
      'a role',
      () => chat({ messages: [{ role: 'tool', content: '' }] }),
      'messages.0.role',
      /role/,
    ],
    ['no message', () => chat({ messages: [] }), 'messages', /messages/],
    ['a stop string', () => chat({ stop: [7] }), 'stop', /1 to 256/],
    ['top_logprobs alone', () => chat({ top_logprobs: 2 }), 'top_logprobs', /logprobs to be true/],
    [
      'a token',
      () => complete({ prompt: [5, 4096] }),
      'prompt',
      /prompt\.1: token 4096.*below 4096/,
    ],
    ['a bias', () => chat({ logit_bias: { '4096': 1 } }), 'logit_bias', /4096/],
    ['a bias by word', () => chat({ logit_bias: { word: 1 } }), 'logit_bias.word', /logit_bias/],
    [
      'many biases',
      () =>
        chat({ logit_bias: Object.fromEntries(Array.from({ length: 1_025 }, (_, i) => [i, 1])) }),
      'logit_bias',
      /1025.*1024/,
    ],
  ])('%s', (_, plan, param, message) => {
    expect(plan).toThrow(
      expect.objectContaining({
        code: 'invalid_request',
        param,
        message: expect.stringMatching(message),
      }),
    )
  })

  test.each([
    ['a long prompt', () => complete({ prompt: longText }), 'prompt', /has 103 tokens.* 64 tokens/],
    [
      'a long chat',
      () => chat({ messages: [{ role: 'user', content: longText }] }),
      'messages',
      /105 tokens.* 64 tokens/,
    ],
    [
      'a hopeless prompt, unread',
      () => complete({ prompt: 'x'.repeat(1e6) }),
      'prompt',
      /at least \d+ tokens.* 64 tokens/,
    ],
    ['a full prompt', () => complete({ prompt: Array(64).fill(5) }), 'prompt', /64 tokens/],
    [
      'a long answer',
      () => complete({ prompt: [5, 6], max_tokens: 63 }),
      'max_tokens',
      /2 tokens.* 64 tokens.* 62, not 63/,
    ],
    [
      'a long chat answer',
      () => chat({ max_completion_tokens: 100 }),
      'max_completion_tokens',
      /not 100/,
    ],
  ])('%s', (_, plan, param, message) => {
    expect(plan).toThrow(
      expect.objectContaining({
        code: 'context_length_exceeded',
        param,
        message: expect.stringMatching(message),
      }),
    )
  })
})
