import type { Engine } from '@punica/native-sgmv'
import { type AdapterRef, AppError, type ProbeReply, toWireError } from '@punica/schema'
import type { Logger } from '@punica/service'
import type { Adapters } from '../adapters/adapters.ts'
import { toTaskError } from '../task-error.ts'
import { compareAnswers } from './compare.ts'
import { createGenerator, type Prompt } from './generate.ts'

type Deps = {
  engine: Pick<Engine, 'submit' | 'cancel' | 'model'>
  adapters: Pick<Adapters, 'acquire' | 'release'>
  log: Pick<Logger, 'info' | 'warn'>
}

/** Probes at once; each takes three rows a prompt from the batch. */
const maxProbes = 2
const numPrompts = 4
const maxPromptTokens = 24
const maxNewTokens = 8
/** For the answers, once the adapter is loaded. */
const timeoutMs = 60_000

/**
 * Tries adapters before they may be served: the same prompts with the adapter and with the base
 * model, whose answers must differ and be finite. It is part of no tenant's traffic: nothing of it
 * is metered or counted against a quota.
 */
export const createProbes = ({ engine, adapters, log }: Deps) => {
  const generator = createGenerator(engine)
  let numRunning = 0

  const compare = async (adapter: AdapterRef) => {
    const handle = await adapters.acquire(adapter)
    try {
      const prompts = makePrompts(engine.model)
      // In one batch, so that all three meet the same conditions.
      const rows = [0, 0, handle].flatMap((which) => prompts.map((p) => ({ ...p, adapter: which })))
      const answers = await generator.generate(rows, AbortSignal.timeout(timeoutMs))
      const part = (i: number) => answers.slice(i * numPrompts, (i + 1) * numPrompts)
      return compareAnswers(part(0), part(1), part(2))
    } finally {
      adapters.release(adapter.digest)
    }
  }

  return {
    onStep: generator.onStep,
    probe: async (adapter: AdapterRef): Promise<ProbeReply> => {
      if (numRunning >= maxProbes) return refuse(busy())
      numRunning++
      try {
        const report = await compare(adapter)
        log.info({ digest: adapter.digest, report }, 'adapter probed')
        return report === null ? refuse(noEffect()) : { type: 'passed', report }
      } catch (cause) {
        log.warn({ digest: adapter.digest, err: cause }, 'adapter not probed')
        return refuse(toTaskError(cause))
      } finally {
        numRunning--
      }
    },
  }
}

/** Tokens from all over the vocabulary, the same on every node: a node knows no text. */
const makePrompts = ({
  vocabSize,
  maxPositions,
}: Pick<Engine['model'], 'vocabSize' | 'maxPositions'>): Omit<Prompt, 'adapter'>[] => {
  const numNewTokens = Math.min(maxNewTokens, Math.max(1, Math.floor(maxPositions / 4)))
  const length = Math.max(1, Math.min(maxPromptTokens, maxPositions - numNewTokens))
  return Array.from({ length: numPrompts }, (_, i) => ({
    // Steps of the golden ratio: no two prompts share tokens in a row.
    tokens: Array.from({ length }, (_, at) =>
      Math.floor((((i * length + at + 1) * 0.618_033_988_75) % 1) * vocabSize),
    ),
    numNewTokens,
  }))
}

const refuse = (error: AppError): ProbeReply => ({ type: 'refused', error: toWireError(error) })

const busy = (): AppError =>
  new AppError('overloaded', `The node tries ${maxProbes} adapters already`, {
    retryAfterMs: 1_000,
  })

const noEffect = (): AppError =>
  new AppError(
    'adapter_invalid',
    'adapter_model.safetensors: changes nothing: with this adapter the model answers as without it',
  )
