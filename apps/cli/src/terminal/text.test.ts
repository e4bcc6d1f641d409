import { expect, test } from 'vitest'
import { fit, toLine, wrap } from './text.ts'

test('what a model wrote cannot steer the terminal', () => {
  expect(toLine('a\u001b[2Jb\n\nc\u009bd\r')).toBe('a [2Jb c d')
})

test('fit makes exactly the width', () => {
  expect(fit('abc', 5)).toBe('abc  ')
  expect(fit('abcde', 5)).toBe('abcde')
  expect(fit('abcdef', 5)).toBe('abcd…')
})

test('wrap breaks between words, and inside those that are too long', () => {
  expect(wrap('one two three', 8)).toEqual(['one two', 'three'])
  expect(wrap('a abcdefghij b', 4)).toEqual(['a', 'abcd', 'efgh', 'ij b'])
  expect(wrap('', 4)).toEqual([])
})
