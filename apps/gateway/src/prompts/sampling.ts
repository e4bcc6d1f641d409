import { randomBytes } from 'node:crypto'
import { AppError, type ChatBody, type CompletionBody, limits, type Sampling } from '@punica/schema'

/**
 * OpenAI's sampling parameters as the engine's. Absent means OpenAI's default (temperature 1, all
 * else off); a `top_k` of -1 or 0 is off; without a seed a random one is drawn, so that the same
 * request can be continued elsewhere. `numLogprobs` null: none are wanted.
 */
export const toSampling = (
  body: ChatBody | CompletionBody,
  numLogprobs: number | null,
  vocabSize: number,
): Sampling => ({
  temperature: body.temperature ?? 1,
  ...(body.top_k != null && body.top_k > 0 ? { topK: body.top_k } : {}),
  ...optional('topP', body.top_p),
  ...optional('minP', body.min_p),
  ...optional('repetitionPenalty', body.repetition_penalty),
  ...optional('presencePenalty', body.presence_penalty),
  ...optional('frequencyPenalty', body.frequency_penalty),
  ...(body.logit_bias == null ? {} : { logitBias: toLogitBias(body.logit_bias, vocabSize) }),
  ...optional('numLogprobs', numLogprobs),
  seed: body.seed == null ? randomSeed() : foldSeed(body.seed),
})

/** Seeds are non-negative integers that JSON carries exactly; choice i of a call has its own. */
export const seedOfChoice = (seed: number, choice: number): number => {
  const room = Number.MAX_SAFE_INTEGER - seed
  return choice <= room ? seed + choice : choice - room - 1
}

const optional = <K extends keyof Sampling>(
  key: K,
  value: number | null | undefined,
): { [key in K]?: number } => {
  const result: { [key in K]?: number } = {}
  if (value != null) result[key] = value
  return result
}

const toLogitBias = (bias: Record<string, number>, vocabSize: number): [number, number][] => {
  const entries = Object.entries(bias).map(([id, value]): [number, number] => [Number(id), value])
  if (entries.length > limits.maxLogitBias) {
    throw new AppError(
      'invalid_request',
      `logit_bias: has ${entries.length} entries; at most ${limits.maxLogitBias} are allowed`,
      { param: 'logit_bias' },
    )
  }
  const unknown = entries.find(([token]) => token >= vocabSize)
  if (unknown !== undefined) {
    throw new AppError(
      'invalid_request',
      `logit_bias: token ${unknown[0]} is not in the vocabulary; ids are below ${vocabSize}`,
      { param: 'logit_bias' },
    )
  }
  return entries
}

/** 53 bits. */
const randomSeed = (): number => Number(randomBytes(8).readBigUInt64BE() >> 11n)

/** OpenAI's seeds may be negative; they keep to the upper half of the range. */
const foldSeed = (seed: number): number => (seed < 0 ? Number.MAX_SAFE_INTEGER + seed : seed)
