import type { TokenLogprobs } from '@punica/schema'
import type { Detokenizer } from '@punica/tokenizer'
import { createStopStrings } from './stop-strings.ts'

/** One token with its log-probabilities, and where its text begins in the answer. */
export type TokenDetail = { token: number; textOffset: number; logprobs: TokenLogprobs }

/** A piece of an answer that may be shown. */
export type Piece = { text: string; details: TokenDetail[] }

/** Makes text of one answer's tokens. */
export type AnswerText = {
  push(token: number, logprobs: TokenLogprobs | undefined): Piece & { stopped: boolean }
  /** The rest, when the answer has ended by itself. */
  flush(): Piece
}

/**
 * Characters in the making and tails that may become a stop string are held back. A token's
 * details come with the piece that completes its text; those of a stop string never come.
 */
export const createAnswerText = (
  detokenizer: Detokenizer,
  stops: readonly string[],
): AnswerText => {
  const stopStrings = createStopStrings(stops)
  let waiting: { detail: TokenDetail; end: number }[] = []
  let numDecoded = 0
  let numShown = 0

  const take = (isDue: (end: number) => boolean): TokenDetail[] => {
    if (waiting.length === 0) return []
    const due = waiting.filter(({ end }) => isDue(end))
    waiting = waiting.filter(({ end }) => !isDue(end))
    return due.map(({ detail }) => detail)
  }

  return {
    push: (token, logprobs) => {
      const textOffset = numDecoded
      const decoded = detokenizer.push(token)
      numDecoded += decoded.length
      if (logprobs !== undefined) {
        waiting.push({ detail: { token, textOffset, logprobs }, end: numDecoded })
      }
      const { text, met } = stopStrings.push(decoded)
      numShown += text.length
      return { text, details: take((end) => end <= numShown), stopped: met }
    },
    flush: () => {
      // A broken character may complete no stop string, but what was held back before it may.
      const last = stopStrings.push(detokenizer.flush())
      const text = last.met ? last.text : last.text + stopStrings.flush()
      return { text, details: last.met ? [] : take(() => true) }
    },
  }
}
