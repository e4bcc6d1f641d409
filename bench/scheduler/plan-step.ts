import type { Sequence } from './sequence.ts'

/** The next `numRows` uncomputed tokens of a sequence. */
export type Chunk = { readonly sequence: Sequence; readonly numRows: number }

/** Decode rows first, then prompts, first come first served, within `maxRows` in all. */
export const planStep = (runnable: readonly Sequence[], maxRows: number): Chunk[] => {
  const chunks: Chunk[] = []
  for (const sequence of runnable) {
    if (sequence.numTokens - sequence.numComputed === 1) chunks.push({ sequence, numRows: 1 })
  }
  let rowsLeft = maxRows - chunks.length
  for (const sequence of runnable) {
    const uncomputed = sequence.numTokens - sequence.numComputed
    if (rowsLeft <= 0) break
    if (uncomputed === 1) continue
    chunks.push({ sequence, numRows: Math.min(uncomputed, rowsLeft) })
    rowsLeft -= Math.min(uncomputed, rowsLeft)
  }
  return chunks
}
