import { Template } from '@huggingface/jinja'
import { AppError } from '@punica/schema'
import { isObject, type JsonObject, type ModelFolder } from './model-folder.ts'

/** Templates may use `name`; most do not. */
export type ChatTurn = { role: string; content: string; name?: string }

/**
 * The model's own chat template, parsed once. The rendered text ends where the assistant's answer
 * begins and has every special token that the model wants. Where the template refuses the
 * conversation (roles out of order, say), that is an `invalid_request` on `messages` in its words.
 */
export const createChatTemplate = (
  folder: ModelFolder,
): ((messages: readonly ChatTurn[]) => string) => {
  const source = folder.chatTemplate ?? sourceInConfig(folder.tokenizerConfig.chat_template)
  if (source === null) {
    return () => {
      throw new AppError(
        'invalid_request',
        'messages: this model has no chat template; use /v1/completions',
        { param: 'messages' },
      )
    }
  }
  const template = new Template(source)
  const specialTokens = toSpecialTokens(folder.tokenizerConfig)
  return (messages) => {
    try {
      return template.render({ ...specialTokens, messages, add_generation_prompt: true })
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause)
      throw new AppError('invalid_request', `messages: the chat template refused them: ${why}`, {
        param: 'messages',
        cause,
      })
    }
  }
}

/** The text of a token that tokenizer_config.json names, which is a string or an AddedToken. */
export const tokenContent = (value: unknown): string | null => {
  if (typeof value === 'string') return value
  return isObject(value) && typeof value.content === 'string' ? value.content : null
}

/** A folder with several templates lists them by name; `default` is the one for plain chat. */
const sourceInConfig = (value: unknown): string | null => {
  if (typeof value === 'string') return value
  if (!Array.isArray(value)) return null
  const named = value.filter(isObject).find((entry) => entry.name === 'default')
  return typeof named?.template === 'string' ? named.template : null
}

/** `bos_token`, `eos_token` and their like, under the names that templates use. */
const toSpecialTokens = (config: JsonObject): Record<string, string> => {
  const tokens: Record<string, string> = {}
  for (const [name, value] of Object.entries(config)) {
    const content = name.endsWith('_token') ? tokenContent(value) : null
    if (content !== null) tokens[name] = content
  }
  return tokens
}
