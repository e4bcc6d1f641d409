import {
  checkBoolean,
  checkInteger,
  checkNumber,
  checkString,
  type Field,
  maxInt32,
  refuse,
  toInt32Array,
} from './checks.ts'
import type { NativeRequest, NativeSampling } from './native.ts'
import type { EngineRequest, SamplingParams } from './types.ts'

const maxSeed = 2n ** 64n - 1n

const field = (name: string): Field => ({ code: 'invalid_request', name })

/**
 * Fills in the defaults and checks that every field is of its type. The engine checks the ranges,
 * which depend on its model. Throws EngineError `invalid_request` naming the field.
 */
export const toNativeRequest = (request: EngineRequest): NativeRequest => {
  const tokens = toInt32Array(field('tokens'), request.tokens)
  const { cacheKey = '', numPromptTokens = tokens.length, ignoreEos = false } = request
  return {
    id: checkInteger(field('id'), request.id, [0, Number.MAX_SAFE_INTEGER]),
    adapter: checkInteger(field('adapter'), request.adapter, [0, 2 ** 32 - 1]),
    cacheKey: checkString(field('cacheKey'), cacheKey),
    tokens,
    numPromptTokens: checkInteger(field('numPromptTokens'), numPromptTokens, [0, maxInt32]),
    maxNewTokens: checkInteger(field('maxNewTokens'), request.maxNewTokens, [1, maxInt32]),
    stopTokens: toInt32Array(field('stopTokens'), request.stopTokens ?? []),
    ignoreEos: checkBoolean(field('ignoreEos'), ignoreEos),
    grammar: toInt32Array(field('grammar'), request.grammar ?? []),
    sampling: toNativeSampling(request.sampling ?? {}),
  }
}

const toNativeSampling = (sampling: SamplingParams): NativeSampling => {
  const { logitBias = [], numLogprobs, seed = 0n } = sampling
  if (typeof seed !== 'bigint' || seed < 0n || seed > maxSeed) {
    refuse(field('sampling.seed'), seed, `a bigint from 0 to ${maxSeed}`)
  }
  const number = (name: string, value: number): number =>
    checkNumber(field(`sampling.${name}`), value)
  return {
    temperature: number('temperature', sampling.temperature ?? 0),
    topK: checkInteger(field('sampling.topK'), sampling.topK ?? 0, [0, maxInt32]),
    topP: number('topP', sampling.topP ?? 1),
    minP: number('minP', sampling.minP ?? 0),
    repetitionPenalty: number('repetitionPenalty', sampling.repetitionPenalty ?? 1),
    presencePenalty: number('presencePenalty', sampling.presencePenalty ?? 0),
    frequencyPenalty: number('frequencyPenalty', sampling.frequencyPenalty ?? 0),
    biasTokens: toInt32Array(
      field('sampling.logitBias tokens'),
      logitBias.map(([token]) => token),
    ),
    biases: Float32Array.from(logitBias, ([, bias], i) => number(`logitBias[${i}]`, bias)),
    numLogprobs:
      numLogprobs === undefined
        ? -1
        : checkInteger(field('sampling.numLogprobs'), numLogprobs, [0, maxInt32]),
    seed,
  }
}
