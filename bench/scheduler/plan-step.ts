import type { Sequence } from './sequence.ts'

/** The next `numRows` uncomputed tokens of a sequence. */
export type Chunk = { readonly sequence: Sequence; readonly numRows: number }

/** One token of it is left to compute. */
export const isDecoding = ({ numTokens, numComputed }: Sequence): boolean =>
  numTokens - numComputed === 1

/**
 * Decode rows first, then prompts, first come first served, within `maxRows` in all, of which those
 * of prompts are no more than `maxPrefillRows` allows beside so many decode rows.
 */
export const planStep = (
  runnable: readonly Sequence[],
  maxRows: number,
  maxPrefillRows: (numDecodeRows: number) => number,
): Chunk[] => {
  const chunks: Chunk[] = []
  for (const sequence of runnable) {
    if (isDecoding(sequence)) chunks.push({ sequence, numRows: 1 })
  }
  if (chunks.length === runnable.length) return chunks
  let rowsLeft = Math.min(maxRows - chunks.length, maxPrefillRows(chunks.length))
  for (const sequence of runnable) {
    if (rowsLeft <= 0) break
    if (isDecoding(sequence)) continue
    const numRows = Math.min(sequence.numTokens - sequence.numComputed, rowsLeft)
    chunks.push({ sequence, numRows })
    rowsLeft -= numRows
  }
  return chunks
}
