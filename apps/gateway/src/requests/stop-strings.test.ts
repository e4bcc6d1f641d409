import { describe, expect, test } from 'vitest'
import { createStopStrings } from './stop-strings.ts'

/** What a client sees of the pieces, and whether a stop string was met. */
const show = (stops: string[], pieces: readonly string[]): { text: string; met: boolean } => {
  const stopStrings = createStopStrings(stops)
  let text = ''
  for (const piece of pieces) {
    const shown = stopStrings.push(piece)
    text += shown.text
    if (shown.met) return { text, met: true }
  }
  return { text: text + stopStrings.flush(), met: false }
}

describe('stop strings', () => {
  test.each([
    ['without stop strings everything is shown', [], 'abc', 'abc', false],
    ['the stop string is not part of the text', ['STOP'], 'say STOP now', 'say ', true],
    ['a text may begin with it', ['a'], 'abc', '', true],
    ['a beginning that does not go on is shown', ['STOP'], 'STO and ST', 'STO and ST', false],
    ['the one that is complete first wins', ['abcd', 'bc'], 'xabcd', 'xa', true],
    ['of two that end together the longer wins', ['c', 'abc'], 'xabc', 'x', true],
    ['a repeated beginning is followed', ['aab'], 'aaaab', 'aa', true],
    ['characters outside the basic plane work', ['🛑'], 'go 🛑 no', 'go ', true],
  ])('%s', (_, stops, text, shown, met) => {
    expect(show(stops, [text])).toEqual({ text: shown, met })
    expect(show(stops, [...text])).toEqual({ text: shown, met })
  })

  test('a tail that may become a stop string is held back', () => {
    const stopStrings = createStopStrings(['\n\nUser:'])
    expect(stopStrings.push('Hello\n').text).toBe('Hello')
    expect(stopStrings.push('\nUs').text).toBe('')
    expect(stopStrings.push('ually').text).toBe('\n\nUsually')
  })

  test('the result does not depend on how the text is cut', () => {
    let seed = 1
    const random = (below: number): number => {
      seed = (seed * 48_271) % 2_147_483_647
      return seed % below
    }
    const word = (length: number): string =>
      Array.from({ length }, () => 'ab'.charAt(random(2))).join('')
    for (let run = 0; run < 2_000; run++) {
      const stops = Array.from({ length: 1 + random(3) }, () => word(2 + random(5)))
      const text = word(30)
      const cut = random(30)
      const whole = show(stops, [text])
      expect(show(stops, [...text]), `${stops} in ${text}`).toEqual(whole)
      expect(show(stops, [text.slice(0, cut), text.slice(cut)])).toEqual(whole)
    }
  })
})
