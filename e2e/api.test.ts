import type OpenAI from 'openai'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { examplesOf, isRight } from './support/evals.ts'
import { countTokens, untilBusy } from './support/nodes.ts'
import { type System, startSystem } from './support/system.ts'
import { until } from './support/until.ts'

let system: System
let acme: OpenAI
let globex: OpenAI
let base: string

beforeAll(async () => {
  system = await startSystem()
  acme = system.openai(system.keys.acme)
  globex = system.openai(system.keys.globex)
  base = system.cluster.baseModel
})

afterAll(async () => {
  await system?.stop()
})

const messages = (content: string) => [{ role: 'user' as const, content }]
const [question = { prompt: '', expected: '' }] = examplesOf('sql-helper')
const sql = { model: 'sql-helper', messages: messages(question.prompt), temperature: 0 }
/** The base model, sampled: an answer that no two seeds share. */
const story = { prompt: 'Once upon a time', max_tokens: 40, temperature: 1 }

describe('a chat', () => {
  test('is answered by the adapter, with its usage', async () => {
    const answer = await acme.chat.completions.create(sql)
    expect(answer).toMatchObject({
      object: 'chat.completion',
      model: 'sql-helper',
      choices: [{ index: 0, finish_reason: 'stop', logprobs: null }],
    })
    expect(answer.choices[0]?.message.content?.trim()).toBe(question.expected.trim())
    const { prompt_tokens: prompt = 0, completion_tokens: completion = 0 } = answer.usage ?? {}
    expect(Math.min(prompt, completion)).toBeGreaterThan(0)
    expect(answer.usage?.total_tokens).toBe(prompt + completion)
  })

  test('streams the same text; the usage comes only when it is asked for', async () => {
    const whole = await acme.chat.completions.create(sql)
    for (const wanted of [true, false]) {
      const stream = await acme.chat.completions.create({
        ...sql,
        stream: true,
        stream_options: { include_usage: wanted },
      })
      const chunks: OpenAI.Chat.ChatCompletionChunk[] = []
      for await (const chunk of stream) chunks.push(chunk)
      const text = chunks.map(({ choices }) => choices[0]?.delta.content ?? '').join('')
      expect(text).toBe(whole.choices[0]?.message.content)
      const usages = chunks.flatMap(({ usage }) => usage ?? [])
      expect(usages).toEqual(wanted ? [whole.usage] : [])
      const reasons = chunks.flatMap(({ choices }) => choices[0]?.finish_reason ?? [])
      expect(reasons).toEqual(['stop'])
    }
  })

  test('of several turns with a system message is answered', async () => {
    const { choices } = await acme.chat.completions.create({
      model: base,
      messages: [
        { role: 'system', content: 'You are kind.' },
        { role: 'user', content: 'Hello!' },
        { role: 'assistant', content: 'Hello.' },
        { role: 'user', content: [{ type: 'text', text: 'How are you?' }] },
      ],
      max_completion_tokens: 12,
    })
    expect(choices[0]?.message.content).not.toBe('')
  })

  test('lists log-probabilities of every token and its likeliest rivals', async () => {
    const { choices, usage } = await acme.chat.completions.create({
      ...sql,
      logprobs: true,
      top_logprobs: 3,
    })
    const tokens = choices[0]?.logprobs?.content ?? []
    expect(tokens.map(({ token }) => token).join('')).toBe(choices[0]?.message.content)
    expect(tokens).toHaveLength(usage?.completion_tokens ?? 0)
    for (const { token, logprob, top_logprobs: top } of tokens) {
      expect(top).toHaveLength(3)
      // Greedy: the chosen one leads, and the others follow in order.
      expect(top[0]).toMatchObject({ token, logprob })
      const values = top.map((rival) => rival.logprob)
      expect(values).toEqual([...values].sort((a, b) => b - a))
      expect(logprob).toBeLessThanOrEqual(0)
    }
  })
})

describe('a completion', () => {
  const complete = async (options: Partial<OpenAI.CompletionCreateParamsNonStreaming>) =>
    acme.completions.create({ model: base, ...story, ...options })
  const textOf = ({ choices }: OpenAI.Completion) => choices[0]?.text ?? ''

  test('ends at max_tokens, and says so', async () => {
    const { choices, usage } = await complete({ max_tokens: 7 })
    expect(choices[0]?.finish_reason).toBe('length')
    expect(usage?.completion_tokens).toBe(7)
  })

  test('streams the same text as it answers in one piece', async () => {
    const whole = await complete({ seed: 5 })
    const params = { model: base, ...story, seed: 5, stream: true as const }
    let text = ''
    for await (const { choices } of await acme.completions.create(params)) {
      text += choices[0]?.text ?? ''
    }
    expect(text).toBe(textOf(whole))
  })

  test('is the same for a seed and another for another seed', async () => {
    const [first, again, other] = await Promise.all([5, 5, 6].map((seed) => complete({ seed })))
    expect(again?.choices).toEqual(first?.choices)
    expect(other?.choices).not.toEqual(first?.choices)
  })

  test('has n choices, the first as if it were alone', async () => {
    const [{ choices, usage }, alone] = await Promise.all([
      complete({ seed: 5, n: 3 }),
      complete({ seed: 5 }),
    ])
    expect(choices.map(({ index }) => index)).toEqual([0, 1, 2])
    expect(new Set(choices.map(({ text }) => text)).size).toBe(3)
    expect(choices[0]?.text).toBe(textOf(alone))
    expect(usage?.prompt_tokens).toBe(alone.usage?.prompt_tokens)
  })

  test.each([
    ['top_k', { top_k: 1 }],
    ['top_p', { top_p: 1e-6 }],
    ['min_p', { min_p: 1 }],
  ])('%s can leave the likeliest token alone', async (_, params) => {
    const [greedy, hot, held] = await Promise.all([
      complete({ temperature: 0 }),
      complete({ temperature: 2, seed: 5 }),
      complete({ temperature: 2, seed: 5, ...params }),
    ])
    expect(textOf(hot)).not.toBe(textOf(greedy))
    expect(textOf(held)).toBe(textOf(greedy))
  })

  const tokensOf = ({ choices }: OpenAI.Completion) => choices[0]?.logprobs?.tokens ?? []

  test.each([
    ['presence_penalty', { presence_penalty: 2 }],
    ['frequency_penalty', { frequency_penalty: 2 }],
    ['repetition_penalty', { repetition_penalty: 2 }],
  ])('%s makes for more different tokens', async (_, params) => {
    const greedy = { temperature: 0, max_tokens: 120, logprobs: 0 }
    const [plain, varied] = await Promise.all([
      complete(greedy),
      complete({ ...greedy, ...params }),
    ])
    expect(new Set(tokensOf(varied)).size).toBeGreaterThan(new Set(tokensOf(plain)).size)
  })

  test('logit_bias makes a token certain, and another impossible', async () => {
    const biased = (bias: Record<string, number>) =>
      complete({ max_tokens: 4, logprobs: 0, seed: 5, logit_bias: bias })
    const certain = tokensOf(await biased({ '500': 100 }))
    expect([certain.length, new Set(certain).size]).toEqual([4, 1])
    const other = tokensOf(await biased({ '500': -100, '600': 100 }))
    expect([other.length, new Set(other).size]).toEqual([4, 1])
    expect(other[0]).not.toBe(certain[0])
  })

  test('stops before a stop string', async () => {
    const text = textOf(await complete({ temperature: 0 }))
    const stop = text.slice(12, 17)
    const stopped = await complete({ temperature: 0, stop: [stop, 'never said'] })
    expect(textOf(stopped)).toBe(text.slice(0, text.indexOf(stop)))
    expect(stopped.choices[0]?.finish_reason).toBe('stop')
  })

  test('takes token ids for a prompt and lists log-probabilities', async () => {
    const { choices, usage } = await complete({ prompt: [1, 500, 600], max_tokens: 3, logprobs: 2 })
    expect(usage?.prompt_tokens).toBe(3)
    const { tokens, token_logprobs: logprobs, text_offset: offsets } = choices[0]?.logprobs ?? {}
    expect(tokens?.join('')).toBe(choices[0]?.text)
    expect([logprobs?.length, offsets?.[0]]).toEqual([tokens?.length, 0])
  })
})

describe('models', () => {
  const idsOf = async (client: OpenAI): Promise<string[]> =>
    (await client.models.list()).data.map(({ id }) => id)

  test('are the base model and what a tenant owns', async () => {
    expect(await idsOf(acme)).toEqual([base, 'extract-json', 'sentiment', 'sql-helper'])
    expect(await idsOf(globex)).toEqual([base, 'bard', 'french', 'pirate-tales'])
  })

  test('go by tenant/adapter and adapter@version, too', async () => {
    for (const model of ['acme/sql-helper', 'sql-helper@1', 'acme/sql-helper@1']) {
      const { choices } = await acme.chat.completions.create({ ...sql, model })
      expect(isRight('sql-helper', question, choices[0]?.message.content ?? ''), model).toBe(true)
      expect(await acme.models.retrieve(model)).toMatchObject({ id: model, owned_by: 'acme' })
    }
  })

  test('that a tenant was granted are listed and answer, until the grant is revoked', async () => {
    const change = (mutation: string) =>
      system.operator.graphql<{ result: { __typename: string } }>(
        `mutation ($input: GrantAdapterInput!) { result: ${mutation}(input: $input) { __typename } }`,
        { input: { tenant: 'acme', name: 'sql-helper', to: 'globex' } },
      )
    const granted = 'acme/sql-helper'
    const untilListed = (isListed: boolean) =>
      until(`list of globex ${isListed ? 'with' : 'without'} ${granted}`, async () =>
        (await idsOf(globex)).includes(granted) === isListed ? true : null,
      )

    expect((await change('grantAdapter')).result.__typename).toBe('GrantAdapterPayload')
    await untilListed(true)
    const { choices } = await globex.chat.completions.create({ ...sql, model: granted })
    expect(choices[0]?.message.content?.trim()).toBe(question.expected.trim())

    await change('revokeAdapterGrant')
    await untilListed(false)
    await expect(globex.chat.completions.create({ ...sql, model: granted })).rejects.toMatchObject({
      status: 404,
      code: 'model_not_found',
    })
  })
})

describe('a client that goes away', () => {
  const maxTokens = 1000
  /** Runs to its length, as it goes on behind an end-of-text token. */
  const toLong = (n: number) => ({
    model: base,
    prompt: 'Once',
    max_tokens: maxTokens,
    n,
    ignore_eos: true,
  })

  test('in the middle of a stream frees the node', async () => {
    const numMade = await countTokens(system, async () => {
      const stream = await acme.completions.create({ ...toLong(16), stream: true })
      const [first] = await Promise.all([stream[Symbol.asyncIterator]().next(), untilBusy(system)])
      expect(first.done).toBe(false)
      stream.controller.abort()
    })
    expect(numMade).toBeGreaterThan(0)
    expect(numMade).toBeLessThan(16 * maxTokens)
  })

  test('before its answer has come frees the node', async () => {
    const numMade = await countTokens(system, async () => {
      const leaving = new AbortController()
      const answer = acme.completions.create(toLong(16), { signal: leaving.signal })
      await Promise.all([
        expect(answer).rejects.toThrow(/aborted/i),
        untilBusy(system).then(() => leaving.abort()),
      ])
    })
    expect(numMade).toBeGreaterThan(0)
    expect(numMade).toBeLessThan(16 * maxTokens)
  })
})
