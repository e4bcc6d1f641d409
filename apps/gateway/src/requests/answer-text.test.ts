import { loadTokenizer } from '@punica/tokenizer'
import { expect, test } from 'vitest'
import { modelFolder } from '../testing/fixtures.ts'
import { createAnswerText, type Piece } from './answer-text.ts'

const tokenizer = await loadTokenizer(modelFolder)
const logprobs = { logprob: -0.5, top: [] }

const answer = (text: string, stops: string[] = []) => {
  const answerText = createAnswerText(tokenizer.createDetokenizer(), stops)
  const pieces: Piece[] = []
  for (const token of tokenizer.encode(text)) {
    const piece = answerText.push(token, logprobs)
    pieces.push(piece)
    if (piece.stopped) return { pieces, stopped: true }
  }
  return { pieces: [...pieces, answerText.flush()], stopped: false }
}

const textOf = (pieces: readonly Piece[]): string => pieces.map(({ text }) => text).join('')
const detailsOf = (pieces: readonly Piece[]) => pieces.flatMap(({ details }) => details)

test('every token comes once, with the place of its text', () => {
  const text = 'Once upon a time 👩‍👩‍👧‍👦 there was é.'
  const { pieces } = answer(text)
  const tokens = tokenizer.encode(text)
  expect(textOf(pieces)).toBe(text)
  expect(detailsOf(pieces).map(({ token }) => token)).toEqual(tokens)
  const offsets = detailsOf(pieces).map(({ textOffset }) => textOffset)
  expect(offsets).toEqual(offsets.toSorted((a, b) => a - b))
  expect(text.slice(offsets.at(-1))).toBe('.')
})

test('the tokens of a stop string are not told', () => {
  const { pieces, stopped } = answer('one two\n\nUser: three', ['\n\nUser:'])
  expect(stopped).toBe(true)
  expect(textOf(pieces)).toBe('one two')
  expect(
    detailsOf(pieces)
      .map(({ token }) => tokenizer.tokenText(token))
      .join(''),
  ).toBe('one two')
})

test('what was held back is shown when the answer ends by itself', () => {
  const { pieces, stopped } = answer('one two\n\nUser', ['\n\nUser:'])
  expect(stopped).toBe(false)
  expect(textOf(pieces)).toBe('one two\n\nUser')
  expect(detailsOf(pieces)).toHaveLength(tokenizer.encode('one two\n\nUser').length)
})

test('a character that stays incomplete is replaced at the end', () => {
  const [first = 0] = tokenizer.encode('👩')
  const answerText = createAnswerText(tokenizer.createDetokenizer(), [])
  expect(answerText.push(first, logprobs)).toEqual({
    text: '',
    details: [expect.anything()],
    stopped: false,
  })
  expect(answerText.flush().text).toBe('\ufffd')
})
