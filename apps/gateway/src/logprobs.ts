import type { Tokenizer } from '@punica/tokenizer'
import type { TokenDetail } from './requests/answer-text.ts'

export type TokenNames = Pick<Tokenizer, 'tokenBytes' | 'tokenText'>

/** A token by its text; one that is a part of a character, by its bytes. */
export const nameOf = ({ tokenBytes, tokenText }: TokenNames, token: number): string => {
  const bytes = tokenBytes(token)
  const text = tokenText(token)
  if (bytes.length === 0 || Buffer.from(text).equals(bytes)) return text
  return `bytes:${Array.from(bytes, (byte) => `\\x${byte.toString(16).padStart(2, '0')}`).join('')}`
}

/** Log-probabilities as OpenAI's chat completions list them. */
export const toLogprobs = (names: TokenNames, details: readonly TokenDetail[]) => {
  const toToken = (token: number, logprob: number) => ({
    token: nameOf(names, token),
    logprob,
    bytes: [...names.tokenBytes(token)],
  })
  return details.map(({ token, logprobs: { logprob, top } }) => ({
    ...toToken(token, logprob),
    top_logprobs: top.map((other) => toToken(other.token, other.logprob)),
  }))
}
