import type { FinishReason, TokenLogprobs } from '@punica/schema'
import type { Piece } from '../requests/answer-text.ts'

/** How an endpoint writes an answer; everything around the choices is the same for both. */
export type Shape = {
  idPrefix: string
  object: string
  chunkObject: string
  /** The first chunk of a choice, where the endpoint has one without text. */
  opening(choice: number): object | null
  piece(choice: number, piece: Piece): object
  ending(choice: number, reason: FinishReason): object
  whole(choice: number, answer: Piece, reason: FinishReason): object
}

/** The likeliest tokens and the chosen one, which may not be among them. */
export const withChosen = (
  token: number,
  { logprob, top }: TokenLogprobs,
): readonly { token: number; logprob: number }[] =>
  top.some((other) => other.token === token) ? top : [...top, { token, logprob }]
