import { stripVTControlCharacters } from 'node:util'
import { describe, expect, test } from 'vitest'
import { adapters, type Job } from './adapters.ts'
import { createBoard } from './board.ts'
import { drawPanes, layOut } from './panes.ts'

const jobOf = (index: number, prompt: string): Job => {
  const adapter = adapters[index]
  if (adapter === undefined) throw new Error(`no adapter ${index}`)
  return { adapter, prompt, expected: null, maxTokens: 8 }
}

const plain = (lines: string[]): string[] => lines.map((line) => stripVTControlCharacters(line))

describe('layOut', () => {
  test.each([
    { columns: 120, rows: 40, perRow: 3 },
    { columns: 80, rows: 30, perRow: 2 },
    { columns: 40, rows: 60, perRow: 1 },
  ])('puts $perRow panes beside each other on $columns columns', ({ columns, rows, perRow }) => {
    const layout = layOut(6, { columns, rows })
    expect(layout?.perRow).toBe(perRow)
    const lines = plain(drawPanes(createBoard(adapters).panes, layout ?? fail()))
    expect(lines.length).toBeLessThan(rows)
    for (const line of lines) expect(line.length).toBeLessThanOrEqual(columns)
  })

  test('gives up on a terminal that is too small', () => {
    expect(layOut(6, { columns: 80, rows: 12 })).toBeNull()
  })
})

const fail = (): never => {
  throw new Error('no layout')
}

test('a pane stays with its stream until that ends, and keeps what ended', () => {
  const board = createBoard(adapters)
  const layout = layOut(6, { columns: 120, rows: 40 }) ?? fail()
  const drawn = (): string => plain(drawPanes(board.panes, layout)).join('\n')
  const first = board.start(jobOf(0, 'How many?'))
  const second = board.start(jobOf(0, 'How old?'))
  expect(drawn()).toContain('waiting')
  second.text = 'ninety'
  first.text = 'seven'
  first.nodeId = 'node-2'
  first.numAdapters = 6
  expect(drawn()).toContain('> How many?')
  expect(drawn()).toContain('node-2 · 6 adapters in the batch')
  expect(drawn()).not.toContain('ninety')
  board.end(first)
  expect(drawn()).toContain('seven')
  expect(drawn()).toContain('ninety')
  board.end(second)
  expect(drawn()).toContain('done')
})
