import { expect, test } from 'vitest'
import { createPrefixedLines } from './prefixed-lines.ts'

const written = (width: number, pieces: readonly string[]): string[] => {
  const lines: string[] = []
  const output = createPrefixedLines({ prefix: 'a │ ', width, write: (line) => lines.push(line) })
  for (const piece of pieces) output.push(piece)
  output.end()
  return lines
}

test('a line is written once it is whole, and the last one at the end', () => {
  expect(written(80, ['one', ' two\nthr', 'ee', '\n\nfour'])).toEqual([
    'a │ one two\n',
    'a │ three\n',
    'a │ \n',
    'a │ four\n',
  ])
})

test('a long line is broken between words as it grows, or where it must be', () => {
  expect(written(9, ['the gray ', 'horse kee', 'ps'])).toEqual([
    'a │ the gray\n',
    'a │ horse\n',
    'a │ keeps\n',
  ])
  expect(written(4, ['abcdefghij'])).toEqual(['a │ abcd\n', 'a │ efgh\n', 'a │ ij\n'])
})
