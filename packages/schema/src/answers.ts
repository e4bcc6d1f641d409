import { z } from 'zod'
import { FinishReason, ModelCard, TokenWithTop, Usage } from './api.ts'
import { errorCodes } from './errors.ts'

// What the gateway answers over HTTP, in OpenAI's shapes.

const index = z.int().nonnegative()
const envelope = { id: z.string(), created: z.int(), model: z.string() }
/** Beyond OpenAI's shape: the node that made the newest token, and its company there. */
const extra = {
  punica: z.strictObject({ node: z.string(), adapters_in_batch: z.int().nonnegative() }).optional(),
}

const ChatLogprobs = z
  .strictObject({ content: z.array(TokenWithTop), refusal: z.null() })
  .nullable()

export const ChatCompletion = z.strictObject({
  ...envelope,
  object: z.literal('chat.completion'),
  choices: z.array(
    z.strictObject({
      index,
      message: z.strictObject({
        role: z.literal('assistant'),
        content: z.string(),
        refusal: z.null(),
      }),
      logprobs: ChatLogprobs,
      finish_reason: FinishReason,
    }),
  ),
  usage: Usage,
  ...extra,
})

/** The last chunk has no choice but the usage, where `stream_options.include_usage` asked for it. */
export const ChatCompletionChunk = z.strictObject({
  ...envelope,
  object: z.literal('chat.completion.chunk'),
  choices: z.array(
    z.strictObject({
      index,
      delta: z.strictObject({
        role: z.literal('assistant').optional(),
        content: z.string().optional(),
      }),
      logprobs: ChatLogprobs,
      finish_reason: FinishReason.nullable(),
    }),
  ),
  usage: Usage.nullable().optional(),
  ...extra,
})

/** The whole answer, and each chunk of a stream. */
export const Completion = z.strictObject({
  ...envelope,
  object: z.literal('text_completion'),
  choices: z.array(
    z.strictObject({
      index,
      text: z.string(),
      logprobs: z
        .strictObject({
          tokens: z.array(z.string()),
          token_logprobs: z.array(z.number()),
          top_logprobs: z.array(z.record(z.string(), z.number())),
          text_offset: z.array(z.int()),
        })
        .nullable(),
      finish_reason: FinishReason.nullable(),
    }),
  ),
  usage: Usage.nullable().optional(),
  ...extra,
})

export const ModelList = z.strictObject({ object: z.literal('list'), data: z.array(ModelCard) })

/** Every failure, and what ends a stream that fails. */
export const ErrorBody = z.strictObject({
  error: z.strictObject({
    message: z.string(),
    type: z.string(),
    /** The field at fault. */
    param: z.string().nullable(),
    code: z.enum(errorCodes),
  }),
})
export type ErrorBody = z.infer<typeof ErrorBody>
