import type { TokenDetail } from '../requests/answer-text.ts'
import { nameOf, type Shape, type TokenNames } from './shape.ts'

/** POST /v1/chat/completions. */
export const createChatShape = (names: TokenNames, wantsLogprobs: boolean): Shape => {
  const toToken = (token: number, logprob: number) => ({
    token: nameOf(names, token),
    logprob,
    bytes: [...names.tokenBytes(token)],
  })
  const toLogprobs = (details: readonly TokenDetail[]) =>
    wantsLogprobs
      ? {
          content: details.map(({ token, logprobs: { logprob, top } }) => ({
            ...toToken(token, logprob),
            top_logprobs: top.map((other) => toToken(other.token, other.logprob)),
          })),
          refusal: null,
        }
      : null
  return {
    idPrefix: 'chatcmpl',
    object: 'chat.completion',
    chunkObject: 'chat.completion.chunk',
    opening: (index) => ({
      index,
      delta: { role: 'assistant', content: '' },
      logprobs: null,
      finish_reason: null,
    }),
    piece: (index, { text, details }) => ({
      index,
      delta: { content: text },
      logprobs: toLogprobs(details),
      finish_reason: null,
    }),
    ending: (index, reason) => ({ index, delta: {}, logprobs: null, finish_reason: reason }),
    whole: (index, { text, details }, reason) => ({
      index,
      message: { role: 'assistant', content: text, refusal: null },
      logprobs: toLogprobs(details),
      finish_reason: reason,
    }),
  }
}
