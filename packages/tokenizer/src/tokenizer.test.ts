import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { AppError } from '@punica/schema'
import { describe, expect, test } from 'vitest'
import type { ChatTurn } from './chat-template.ts'
import { loadTokenizer, type Tokenizer } from './tokenizer.ts'

const path = (relative: string): string => fileURLToPath(new URL(relative, import.meta.url))

/** The cases of a golden file; test/make_golden.py says what each holds. */
const golden = <T>(name: string): T[] =>
  readFileSync(path(`../test/golden/data/${name}`), 'utf8')
    .trimEnd()
    .split('\n')
    .map((line): T => JSON.parse(line))

const byteLevel = await loadTokenizer(path('../../../models/base'))
const byteFallback = await loadTokenizer(path('../test/golden/data/byte-fallback'))

const stream = (tokenizer: Tokenizer, tokens: readonly number[]): string[] => {
  const detokenizer = tokenizer.createDetokenizer()
  return [...tokens.map((token) => detokenizer.push(token)), detokenizer.flush()]
}

describe('against the reference tokenizers', () => {
  test('a byte-level tokenizer gives the same ids', () => {
    const cases = golden<[string, number[]]>('byte-level.jsonl')
    expect(cases.length).toBeGreaterThan(1400)
    for (const [text, tokens] of cases) expect(byteLevel.encode(text), text).toEqual(tokens)
  })

  test('a byte-fallback tokenizer gives the same ids and text', () => {
    const cases = golden<[string, number[], string]>('byte-fallback.jsonl')
    for (const [text, tokens, decoded] of cases) {
      expect(byteFallback.encode(text), text).toEqual(tokens)
      expect(byteFallback.decode(tokens), text).toBe(decoded)
    }
  })

  test('ids that cut characters anywhere give the same text, whole and streamed', () => {
    for (const [tokens, decoded] of golden<[number[], string]>('random-ids.jsonl')) {
      expect(byteLevel.decode(tokens)).toBe(decoded)
      expect(stream(byteLevel, tokens).join('')).toBe(decoded)
    }
  })

  test('the chat template renders the same text and ids', () => {
    for (const [chat, text, tokens] of golden<[ChatTurn[], string, number[]]>('chats.jsonl')) {
      expect(byteLevel.applyChat(chat)).toBe(text)
      expect(byteLevel.encode(text)).toEqual(tokens)
    }
  })
})

describe('streaming', () => {
  const text = 'é 👩‍👩‍👧‍👦 🏳️‍🌈 日本語 \ufeffx 𝕳 end'

  test.each([
    ['byte-level', byteLevel],
    ['byte-fallback', byteFallback],
  ])('%s text comes whole, and no piece has half of a character', (_, tokenizer) => {
    const tokens = tokenizer.encode(text)
    const pieces = stream(tokenizer, tokens)
    expect(pieces.join('').trimStart()).toBe(text)
    for (const piece of pieces) expect(piece).not.toContain('\ufffd')
    expect(pieces.filter((piece) => piece === '').length).toBeGreaterThan(10)
  })

  test('a character that never becomes complete is replaced at the end', () => {
    const [first = 0] = byteLevel.encode('👩')
    const detokenizer = byteLevel.createDetokenizer()
    expect(detokenizer.push(first)).toBe('')
    expect(detokenizer.flush()).toBe('\ufffd')
    expect(detokenizer.flush()).toBe('')
  })

  test('special tokens and ids outside the vocabulary add nothing', () => {
    const [a = 0] = byteLevel.encode('a')
    expect(byteLevel.decode([1, 3, a, 2, 4_000_000])).toBe('a')
    expect(byteLevel.decode([])).toBe('')
  })

  test('a text that goes on from a prompt keeps its leading space', () => {
    const tokens = byteFallback.encode('a')
    expect(byteFallback.decode(tokens)).toBe('a')
    expect(stream(byteFallback, tokens).join('')).toBe(' a')
  })
})

describe('what a model folder says', () => {
  test('special tokens are known by id', () => {
    expect(byteLevel.bosTokenId).toBe(1)
    expect(byteLevel.eosTokenIds).toEqual([2])
    expect(byteLevel.vocabSize).toBe(4096)
    expect(byteLevel.tokenText(2)).toBe('</s>')
    expect(byteLevel.encode('a b').map(byteLevel.tokenText)).toEqual(['a', ' b'])
    expect(byteFallback.bosTokenId).toBe(1)
  })

  test('a plain prompt begins with BOS, once', () => {
    const tokens = byteLevel.encode('Once upon a time')
    expect(byteLevel.encodePrompt('Once upon a time')).toEqual([1, ...tokens])
    expect(byteLevel.encodePrompt('<s>Once upon a time')).toEqual([1, ...tokens])
    expect(byteLevel.encodePrompt('')).toEqual([1])
  })

  test('a lone surrogate is encoded as the replacement character', () => {
    expect(byteLevel.encode('a\ud800b')).toEqual(byteLevel.encode('a\ufffdb'))
  })

  test('a text has at least its length / maxTokenBytes tokens', () => {
    const text = ' '.repeat(100) + '<|assistant|>'.repeat(100)
    const numTokens = byteLevel.encode(text).length
    expect(numTokens).toBeGreaterThanOrEqual(text.length / byteLevel.maxTokenBytes)
  })

  test('a model without a chat template refuses a chat by name', () => {
    expect(() => byteFallback.applyChat([{ role: 'user', content: 'hi' }])).toThrow(
      expect.objectContaining({ code: 'invalid_request', param: 'messages' }),
    )
  })

  test('a folder without tokenizer.json is refused by name', async () => {
    const error = await loadTokenizer(path('.')).catch((cause: unknown) => cause)
    expect(error).toBeInstanceOf(AppError)
    expect(error).toMatchObject({ message: expect.stringContaining('tokenizer.json') })
  })
})
