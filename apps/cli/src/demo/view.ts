import type { WriteStream } from 'node:tty'
import { toLine } from '../terminal/text.ts'
import type { Board, Result } from './board.ts'
import { drawPanes, type Layout, layOut } from './panes.ts'

/** Redrawing more often than this shows nothing more. */
const FRAME_MS = 1000 / 15

/** Answers of one adapter that are shown where there are no panes. */
const MAX_LINES = 5

export type View = {
  /** Told of each answer once it is complete. */
  ended(result: Result): void
  close(): void
}

/** Panes that change in place on a terminal that is large enough, else a line for each answer. */
export const openView = (board: Board, output: WriteStream): View => {
  const { columns = 80, rows = 24 } = output
  const layout = output.isTTY ? layOut(board.panes.length, { columns, rows }) : null
  return layout === null ? openLines(output) : openPanes(board, output, layout)
}

/** The first answers of each adapter; the table at the end counts the others. */
const openLines = (output: NodeJS.WritableStream): View => {
  const numShown = new Map<string, number>()
  return {
    ended({ job, text, nodeIds, maxAdapters, numTokens }) {
      const { name, face } = job.adapter
      const shown = numShown.get(name) ?? 0
      if (shown >= MAX_LINES) return
      numShown.set(name, shown + 1)
      const company = `${maxAdapters} adapters in its batch`
      const numbers = `${nodeIds.at(-1)}  ${company}  ${String(numTokens).padStart(3)} tokens`
      output.write(`${name.padEnd(12)}  ${face}  ${numbers}  ${toLine(text).slice(0, 60)}\n`)
    },
    close: () => {},
  }
}

const openPanes = (board: Board, output: NodeJS.WritableStream, layout: Layout): View => {
  let numLines = 0
  const draw = (): void => {
    const lines = drawPanes(board.panes, layout)
    const up = numLines === 0 ? '' : `\u001b[${numLines}A`
    output.write(`${up}${lines.map((line) => `\u001b[2K${line}\n`).join('')}`)
    numLines = lines.length
  }
  output.write('\u001b[?25l')
  draw()
  const timer = setInterval(draw, FRAME_MS)
  return {
    ended: () => {},
    close() {
      clearInterval(timer)
      draw()
      output.write('\u001b[?25h')
    },
  }
}
