import type { Grammar } from '@punica/grammar'
import type { AdapterRef, ChatBody, CompletionBody, Sampling } from '@punica/schema'
import { AppError } from '@punica/schema'
import type { Tokenizer } from '@punica/tokenizer'
import type { ResolvedModel } from '../catalog/resolve.ts'
import { encodeChat, encodeCompletion } from './encode.ts'
import { toGrammar } from './grammar.ts'
import { toSampling } from './sampling.ts'

/** All that there is to know of a call once it has been accepted: numbers, and its stop strings. */
export type Plan = {
  requestId: string
  tenant: string
  adapter: AdapterRef | null
  /** For people: `tenant/name`. */
  adapterName: string | null
  promptTokens: readonly number[]
  maxNewTokens: number
  ignoreEos: boolean
  /** What the answer is held to; null: nothing. */
  grammar: Grammar | null
  numChoices: number
  /** Choice i is sampled with seed + i. */
  sampling: Sampling
  stops: readonly string[]
}

export type PlanInput<B> = {
  requestId: string
  tenant: string
  model: ResolvedModel
  body: B
  tokenizer: Tokenizer
}

/** Throws `invalid_request` or `context_length_exceeded`, naming the field and the limit. */
export const planChat = (input: PlanInput<ChatBody>): Plan => {
  const { body, model, tokenizer } = input
  if (body.top_logprobs != null && body.logprobs !== true) {
    throw new AppError('invalid_request', 'top_logprobs: needs logprobs to be true', {
      param: 'top_logprobs',
    })
  }
  const promptTokens = encodeChat(tokenizer, body.messages, model.base.maxContext)
  const numLogprobs = body.logprobs === true ? (body.top_logprobs ?? 0) : null
  const asked =
    body.max_completion_tokens == null
      ? { field: 'max_tokens', value: body.max_tokens ?? null }
      : { field: 'max_completion_tokens', value: body.max_completion_tokens }
  const grammar = toGrammar(body)
  return plan(input, { promptTokens, promptField: 'messages', asked, numLogprobs, grammar })
}

/** Throws as planChat does. */
export const planCompletion = (input: PlanInput<CompletionBody>): Plan => {
  const { body, model, tokenizer } = input
  return plan(input, {
    promptTokens: encodeCompletion(tokenizer, body.prompt, model.base.maxContext),
    promptField: 'prompt',
    asked: { field: 'max_tokens', value: body.max_tokens ?? null },
    numLogprobs: body.logprobs ?? null,
    grammar: null,
  })
}

type Details = {
  promptTokens: number[]
  promptField: string
  /** The bound on the answer, under the name that the caller used. */
  asked: { field: string; value: number | null }
  numLogprobs: number | null
  grammar: Grammar | null
}

const plan = (
  { requestId, tenant, model, body, tokenizer }: PlanInput<ChatBody | CompletionBody>,
  { promptTokens, promptField, asked, numLogprobs, grammar }: Details,
): Plan => ({
  requestId,
  tenant,
  adapter: model.adapter,
  adapterName: model.adapterName,
  promptTokens,
  maxNewTokens: boundAnswer(promptTokens.length, model.base.maxContext, promptField, asked),
  ignoreEos: body.ignore_eos ?? false,
  grammar,
  numChoices: body.n ?? 1,
  sampling: toSampling(body, numLogprobs, tokenizer.vocabSize),
  stops: typeof body.stop === 'string' ? [body.stop] : (body.stop ?? []),
})

const boundAnswer = (
  numPromptTokens: number,
  maxContext: number,
  promptField: string,
  asked: Details['asked'],
): number => {
  const left = maxContext - numPromptTokens
  if (left < 1) {
    throw new AppError(
      'context_length_exceeded',
      `${promptField}: the prompt has ${numPromptTokens} tokens and leaves no room for an answer; the model's context is ${maxContext} tokens. Shorten it.`,
      { param: promptField },
    )
  }
  if (asked.value !== null && asked.value > left) {
    throw new AppError(
      'context_length_exceeded',
      `${asked.field}: the prompt has ${numPromptTokens} tokens and the model's context is ${maxContext} tokens, so an answer may have ${left}, not ${asked.value}`,
      { param: asked.field },
    )
  }
  return asked.value ?? left
}
