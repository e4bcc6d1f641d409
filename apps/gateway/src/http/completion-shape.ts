import { nameOf, type TokenNames } from '../logprobs.ts'
import type { TokenDetail } from '../requests/answer-text.ts'
import { type Shape, withChosen } from './shape.ts'

/** POST /v1/completions. */
export const createCompletionShape = (names: TokenNames, wantsLogprobs: boolean): Shape => {
  const toLogprobs = (details: readonly TokenDetail[]) =>
    wantsLogprobs
      ? {
          tokens: details.map(({ token }) => nameOf(names, token)),
          token_logprobs: details.map(({ logprobs }) => logprobs.logprob),
          top_logprobs: details.map(({ token, logprobs }) =>
            Object.fromEntries(
              withChosen(token, logprobs).map((other) => [
                nameOf(names, other.token),
                other.logprob,
              ]),
            ),
          ),
          text_offset: details.map(({ textOffset }) => textOffset),
        }
      : null
  return {
    idPrefix: 'cmpl',
    object: 'text_completion',
    chunkObject: 'text_completion',
    opening: () => null,
    piece: (index, { text, details }) => ({
      index,
      text,
      logprobs: toLogprobs(details),
      finish_reason: null,
    }),
    ending: (index, reason) => ({ index, text: '', logprobs: null, finish_reason: reason }),
    whole: (index, { text, details }, reason) => ({
      index,
      text,
      logprobs: toLogprobs(details),
      finish_reason: reason,
    }),
  }
}
