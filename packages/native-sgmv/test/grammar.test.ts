import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { baseFolder, type RunningEngine, runEngine } from './running-engine.ts'

const code = (character: string): number => character.charCodeAt(0)

// A list of numbers in brackets: [1,22,333]
const [byte, split, ret] = [0, 1, 4]
const numbers = [
  [byte, code('['), code('[')],
  [byte, code('0'), code('9')],
  [split, 1, 3],
  [split, 4, 6],
  [byte, code(','), code(',')],
  [split, 1, 1],
  [byte, code(']'), code(']')],
  [ret, 0, 0],
].flat()

const { model, added_tokens: added } = JSON.parse(
  readFileSync(`${baseFolder}/tokenizer.json`, 'utf8'),
) as { model: { vocab: Record<string, number> }; added_tokens: { id: number; content: string }[] }
const textById = new Map(Object.entries(model.vocab).map(([text, id]) => [id, text]))
const endOfText = added.find(({ content }) => content === '</s>')?.id ?? -1
const textOf = (tokens: readonly number[]): string =>
  tokens.map((token) => textById.get(token)).join('')

let running: RunningEngine
let handles: number[]

beforeAll(async () => {
  running = await runEngine()
  handles = await running.loadAdapters()
})

afterAll(() => running[Symbol.asyncDispose]())

const request = (seed: number) => ({
  adapter: handles[seed % handles.length] ?? 0,
  tokens: Array.from({ length: 12 }, (_, i) => 300 + ((seed * 37 + i * 11) % 900)),
  maxNewTokens: 60,
  stopTokens: [endOfText],
  grammar: numbers,
  sampling: { temperature: 1, seed: BigInt(seed) },
})

describe('a grammar', () => {
  test('holds every answer to it, and ends it where nothing may follow', async () => {
    const outcomes = await Promise.all(
      Array.from({ length: 24 }, (_, seed) => running.run(request(seed))),
    )
    for (const { tokens, reason } of outcomes) {
      if (reason === 'stop') expect(textOf(tokens)).toMatch(/^\[\d+(,\d+)*\]$/)
      else expect(textOf(tokens)).toMatch(/^\[[\d,]*$/)
    }
    expect(outcomes.some(({ reason }) => reason === 'stop')).toBe(true)
  })

  test('changes nothing for the others in the batch', async () => {
    const free = { ...request(3), grammar: [], maxNewTokens: 30 }
    const alone = await running.run(free)
    const [beside] = await Promise.all([
      running.run(free),
      ...Array.from({ length: 8 }, (_, seed) => running.run(request(seed))),
    ])
    expect(beside.tokens).toEqual(alone.tokens)
  })

  test('is gone on with after a move', async () => {
    const undisturbed = await running.run(request(5))
    const { tokens: prompt } = request(5)
    for (let cut = 1; cut < undisturbed.tokens.length; cut += 3) {
      const moved = await running.run({
        ...request(5),
        tokens: [...prompt, ...undisturbed.tokens.slice(0, cut)],
        numPromptTokens: prompt.length,
      })
      expect(moved.tokens).toEqual(undisturbed.tokens.slice(cut))
      expect(moved.reason).toBe(undisturbed.reason)
    }
  })

  test('that is wrong, or that the tokens so far do not begin, is refused', () => {
    const submit = (more: object) => () =>
      running.engine.submit({ id: 9_999, ...request(1), ...more })
    const refused = (message: string) =>
      expect.objectContaining({
        code: 'invalid_request',
        message: expect.stringContaining(message),
      })
    expect(submit({ grammar: [7, 0, 0] })).toThrow(refused('instruction 0 is unknown'))
    expect(submit({ grammar: [0] })).toThrow(refused('three for each'))
    expect(submit({ numPromptTokens: 3 })).toThrow(refused('do not begin a text of it'))
    expect(submit({ ignoreEos: true })).toThrow(refused('ignoreEos'))
  })
})
