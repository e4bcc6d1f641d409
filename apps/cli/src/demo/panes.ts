import { fit, toLine, wrap } from '../terminal/text.ts'
import type { Pane, Stream } from './board.ts'

export type Size = { columns: number; rows: number }

const MIN_PANE_WIDTH = 36
const MIN_TEXT_ROWS = 3
const MAX_TEXT_ROWS = 10
/** Title and state of each pane. */
const FRAME_ROWS = 2

const bold = (text: string): string => `\u001b[1m${text}\u001b[22m`
const dim = (text: string): string => `\u001b[2m${text}\u001b[22m`

/** Panes side by side; null where the terminal is too small for that. */
export const layOut = (numPanes: number, { columns, rows }: Size): Layout | null => {
  const perRow =
    columns >= 3 * (MIN_PANE_WIDTH + 2) ? 3 : columns >= 2 * (MIN_PANE_WIDTH + 2) ? 2 : 1
  const numRows = Math.ceil(numPanes / perRow)
  // One row stays free for the cursor.
  const textRows = Math.floor((rows - 1) / numRows) - FRAME_ROWS
  if (textRows < MIN_TEXT_ROWS) return null
  const width = Math.floor(columns / perRow) - 2
  return { perRow, width, textRows: Math.min(textRows, MAX_TEXT_ROWS) }
}

export type Layout = { perRow: number; width: number; textRows: number }

/** Draws the panes as lines of equal number at each call with the same layout. */
export const drawPanes = (panes: readonly Pane[], layout: Layout): string[] => {
  const lines: string[] = []
  for (let from = 0; from < panes.length; from += layout.perRow) {
    const blocks = panes.slice(from, from + layout.perRow).map((pane) => drawPane(pane, layout))
    for (let i = 0; i < FRAME_ROWS + layout.textRows; i++) {
      lines.push(blocks.map((block) => block[i] ?? '').join('  '))
    }
  }
  return lines
}

const drawPane = (pane: Pane, { width, textRows }: Layout): string[] => {
  const { adapter, front, ended, numDone } = pane
  const title = `${adapter.name} · ${adapter.tenant} · ${adapter.face}`
  const count = adapter.numRequests === null ? `${numDone}` : `${numDone}/${adapter.numRequests}`
  const streams = front === null ? ended : [...ended, front]
  const text = streams.flatMap((stream) => drawStream(stream, width)).slice(-textRows)
  while (text.length < textRows) text.push(' '.repeat(width))
  return [
    bold(`${fit(title, width - count.length - 1)} ${count}`),
    ...text,
    dim(fit(describe(pane), width)),
  ]
}

const drawStream = ({ job, text }: Stream, width: number): string[] => [
  dim(fit(`> ${toLine(job.prompt)}`, width)),
  ...wrap(toLine(text), width).map((line) => fit(line, width)),
]

const describe = ({ front }: Pane): string => {
  if (front === null) return 'done'
  if (front.nodeId === '') return 'waiting'
  const company = front.numAdapters === 1 ? 'alone' : `${front.numAdapters} adapters`
  return `${front.nodeId} · ${company} in the batch`
}
