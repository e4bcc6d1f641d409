import type { TokenBytes } from './token-bytes.ts'

/** Turns a stream of token ids into a stream of text. */
export type Detokenizer = {
  /**
   * The text that this token completes; empty while a character's bytes are still incomplete, so
   * half of a UTF-8 sequence is never seen. Constant work per token.
   */
  push(token: number): string
  /** What is still held back: U+FFFD for a character that never became complete, else nothing. */
  flush(): string
}

/** A detokenizer for a text that goes on from a prompt: a leading space is part of it. */
export const createDetokenizer = ({ bytes }: Pick<TokenBytes, 'bytes'>): Detokenizer => {
  // A byte order mark is a character like any other in a model's output, so it is not swallowed.
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true })
  return {
    push: (token) => decoder.decode(bytes(token), { stream: true }),
    flush: () => decoder.decode(),
  }
}
