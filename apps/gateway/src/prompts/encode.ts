import { AppError, type ChatMessage } from '@punica/schema'
import type { Tokenizer } from '@punica/tokenizer'

/** The token ids of a conversation up to where the answer begins. */
export const encodeChat = (
  tokenizer: Tokenizer,
  messages: readonly ChatMessage[],
  maxContext: number,
): number[] => {
  const text = tokenizer.applyChat(
    messages.map(({ role, content, name }) => ({
      role,
      content: typeof content === 'string' ? content : content.map((part) => part.text).join('\n'),
      ...(name === undefined ? {} : { name }),
    })),
  )
  refuseHopeless(tokenizer, text, maxContext, 'messages')
  return requireTokens(tokenizer.encode(text), 'messages')
}

/** The token ids of a plain prompt; one given as ids is taken as it is. */
export const encodeCompletion = (
  tokenizer: Tokenizer,
  prompt: string | readonly number[],
  maxContext: number,
): number[] => {
  if (typeof prompt === 'string') {
    refuseHopeless(tokenizer, prompt, maxContext, 'prompt')
    return requireTokens(tokenizer.encodePrompt(prompt), 'prompt')
  }
  const index = prompt.findIndex((token) => token >= tokenizer.vocabSize)
  if (index >= 0) {
    throw new AppError(
      'invalid_request',
      `prompt.${index}: token ${prompt[index]} is not in the vocabulary; ids are below ${tokenizer.vocabSize}`,
      { param: 'prompt' },
    )
  }
  return [...prompt]
}

/** Encoding holds up everybody else, so a text that cannot fit is refused by its length alone. */
const refuseHopeless = (
  { maxTokenBytes }: Tokenizer,
  text: string,
  maxContext: number,
  param: string,
): void => {
  const minTokens = Math.ceil(Buffer.byteLength(text) / maxTokenBytes)
  if (minTokens < maxContext) return
  throw new AppError(
    'context_length_exceeded',
    `${param}: the prompt has at least ${minTokens} tokens and leaves no room for an answer; the model's context is ${maxContext} tokens. Shorten it.`,
    { param },
  )
}

const requireTokens = (tokens: number[], param: string): number[] => {
  if (tokens.length > 0) return tokens
  throw new AppError('invalid_request', `${param}: must not be empty for this model`, { param })
}
