import { z } from 'zod'
import { WireError } from './errors.ts'
import { limits } from './limits.ts'
import { RequestId } from './names.ts'

// What clients say: the bodies of the OpenAI API, and the same calls over NATS. Unknown fields are
// refused by name rather than ignored: a parameter that silently does nothing is a wrong answer.

const Stop = z
  .union(
    [
      z.string().min(1).max(limits.maxStopStringLength),
      z.array(z.string().min(1).max(limits.maxStopStringLength)).max(limits.maxStopStrings),
    ],
    {
      error: `must be a string or up to ${limits.maxStopStrings} strings, each of 1 to ${limits.maxStopStringLength} characters`,
    },
  )
  .nullish()

/** `tenant/adapter`, `adapter`, `adapter@version`, or the base model. */
const Model = z.string().min(1).max(200)

const common = {
  model: Model,
  max_tokens: z.int().positive().nullish(),
  temperature: z.number().min(0).max(2).nullish(),
  top_p: z.number().gt(0).max(1).nullish(),
  top_k: z.int().min(-1).nullish(),
  min_p: z.number().min(0).max(1).nullish(),
  n: z.int().min(1).max(limits.maxChoices).nullish(),
  stop: Stop,
  presence_penalty: z.number().min(-2).max(2).nullish(),
  frequency_penalty: z.number().min(-2).max(2).nullish(),
  repetition_penalty: z.number().gt(0).max(2).nullish(),
  logit_bias: z
    .record(z.string().regex(/^\d+$/, 'keys must be token ids'), z.number().min(-100).max(100))
    .nullish(),
  seed: z.int().nullish(),
  stream: z.boolean().nullish(),
  stream_options: z.strictObject({ include_usage: z.boolean().nullish() }).nullish(),
  ignore_eos: z.boolean().nullish(),
  user: z.string().max(512).nullish(),
}

export const CompletionBody = z.strictObject({
  ...common,
  prompt: z.union([z.string(), z.array(z.int().nonnegative()).min(1)], {
    error: 'must be a string or a non-empty array of token ids',
  }),
  logprobs: z.int().min(0).max(limits.maxLogprobs).nullish(),
  echo: z.literal(false).nullish(),
})
export type CompletionBody = z.infer<typeof CompletionBody>

export const ChatMessage = z.strictObject({
  role: z.enum(['system', 'user', 'assistant']),
  content: z.union(
    [z.string(), z.array(z.strictObject({ type: z.literal('text'), text: z.string() })).min(1)],
    { error: "must be a string or an array of parts { type: 'text', text }" },
  ),
  name: z.string().max(64).optional(),
})
export type ChatMessage = z.infer<typeof ChatMessage>

/** What a chat's answer must be: any text, any JSON object, or JSON that a schema allows. */
export const ResponseFormat = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('text') }),
  z.strictObject({ type: z.literal('json_object') }),
  z.strictObject({
    type: z.literal('json_schema'),
    json_schema: z.strictObject({
      name: z.string().regex(/^[a-zA-Z0-9_-]{1,64}$/, 'must be 1 to 64 of a-z, A-Z, 0-9, _ and -'),
      description: z.string().max(1024).nullish(),
      schema: z.record(z.string(), z.unknown()),
      /** Answers are always held to the schema; what cannot be held to is refused. */
      strict: z.boolean().nullish(),
    }),
  }),
])
export type ResponseFormat = z.infer<typeof ResponseFormat>

export const ChatBody = z.strictObject({
  ...common,
  response_format: ResponseFormat.nullish(),
  messages: z.array(ChatMessage).min(1).max(1024),
  max_completion_tokens: z.int().positive().nullish(),
  logprobs: z.boolean().nullish(),
  top_logprobs: z.int().min(0).max(limits.maxLogprobs).nullish(),
})
export type ChatBody = z.infer<typeof ChatBody>

/**
 * A generation over NATS, published to `punica.v1.<tenant>.generate` with a reply inbox under the
 * credential's own prefix. `id` is the caller's, for `abort`.
 */
export const GenerateCall = z.discriminatedUnion('type', [
  z.strictObject({
    type: z.literal('chat'),
    id: RequestId,
    apiKey: z.string().max(256),
    body: ChatBody,
  }),
  z.strictObject({
    type: z.literal('completion'),
    id: RequestId,
    apiKey: z.string().max(256),
    body: CompletionBody,
  }),
])
export type GenerateCall = z.infer<typeof GenerateCall>

/**
 * A GenerateCall as it travels: its body is checked by the gateway and not by the bus, which would
 * drop a wrong one without a word, so that the caller is told which field is wrong.
 */
export const GenerateMessage = z.strictObject({
  type: z.enum(['chat', 'completion']),
  id: RequestId,
  apiKey: z.string().max(256),
  body: z.unknown(),
})
export type GenerateMessage = z.infer<typeof GenerateMessage>

export const AbortCall = z.strictObject({ id: RequestId, apiKey: z.string().max(256) })
export type AbortCall = z.infer<typeof AbortCall>

export const Usage = z.strictObject({
  prompt_tokens: z.int().nonnegative(),
  completion_tokens: z.int().nonnegative(),
  total_tokens: z.int().nonnegative(),
})
export type Usage = z.infer<typeof Usage>

/** A token of the answer and what the model thought of it; as OpenAI's chat completions have it. */
const TokenLogprob = z.strictObject({
  token: z.string(),
  logprob: z.number(),
  bytes: z.array(z.int().min(0).max(255)),
})

/** With the likeliest ones in its place. */
export const TokenWithTop = TokenLogprob.extend({
  top_logprobs: z.array(TokenLogprob).max(limits.maxLogprobs + 1),
})

export const FinishReason = z.enum(['stop', 'length'])
export type FinishReason = z.infer<typeof FinishReason>

/** What the reply inbox of a GenerateCall receives, in order; `seq` counts from 0 without gaps. */
export const ApiEvent = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('accepted'), seq: z.int().nonnegative(), model: z.string() }),
  z.strictObject({
    type: z.literal('delta'),
    seq: z.int().nonnegative(),
    choice: z.int().nonnegative(),
    text: z.string(),
    /** Generated tokens of this choice so far. */
    numTokens: z.int().nonnegative(),
    nodeId: z.string(),
    /** Distinct adapters of the batch that made the newest token. */
    numAdapters: z.int().nonnegative(),
    /** One entry a token, where the call asked for them. */
    logprobs: z.array(TokenWithTop).optional(),
  }),
  /** Nothing new, but the call is under way; comes when nothing else has for `heartbeatMs`. */
  z.strictObject({ type: z.literal('alive'), seq: z.int().nonnegative() }),
  z.strictObject({
    type: z.literal('finished'),
    seq: z.int().nonnegative(),
    choice: z.int().nonnegative(),
    reason: FinishReason,
  }),
  z.strictObject({ type: z.literal('done'), seq: z.int().nonnegative(), usage: Usage }),
  z.strictObject({ type: z.literal('error'), seq: z.int().nonnegative(), error: WireError }),
])
export type ApiEvent = z.infer<typeof ApiEvent>

export const ModelsCall = z.strictObject({ apiKey: z.string().max(256) })
export type ModelsCall = z.infer<typeof ModelsCall>

export const ModelCard = z.strictObject({
  id: z.string(),
  object: z.literal('model'),
  created: z.int().nonnegative(),
  owned_by: z.string(),
  /** The base model of an adapter; absent for the base model itself. */
  parent: z.string().optional(),
  /** The version that the bare name serves. */
  version: z.int().positive().optional(),
  digest: z.string().optional(),
  max_model_len: z.int().positive().optional(),
})
export type ModelCard = z.infer<typeof ModelCard>

export const ModelsReply = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('models'), data: z.array(ModelCard) }),
  z.strictObject({ type: z.literal('error'), error: WireError }),
])
export type ModelsReply = z.infer<typeof ModelsReply>
