import { type TokenNames, toLogprobs } from '../logprobs.ts'
import type { TokenDetail } from '../requests/answer-text.ts'
import type { Shape } from './shape.ts'

/** POST /v1/chat/completions. */
export const createChatShape = (names: TokenNames, wantsLogprobs: boolean): Shape => {
  const logprobsOf = (details: readonly TokenDetail[]) =>
    wantsLogprobs ? { content: toLogprobs(names, details), refusal: null } : null
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
      logprobs: logprobsOf(details),
      finish_reason: null,
    }),
    ending: (index, reason) => ({ index, delta: {}, logprobs: null, finish_reason: reason }),
    whole: (index, { text, details }, reason) => ({
      index,
      message: { role: 'assistant', content: text, refusal: null },
      logprobs: logprobsOf(details),
      finish_reason: reason,
    }),
  }
}
