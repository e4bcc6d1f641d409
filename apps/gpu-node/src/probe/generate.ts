import type { AdapterHandle, Engine, StepReport } from '@punica/native-sgmv'
import { AppError } from '@punica/schema'
import type { Answer } from './compare.ts'

/** Engine ids of probes; those of requests count up from 1 and never get here. */
const firstId = 2 ** 52

/** Log-probabilities that are compared of each token. */
const numLogprobs = 10

export type Prompt = { adapter: AdapterHandle; tokens: readonly number[]; numNewTokens: number }

type Running = {
  answer: Answer[number][]
  resolve: (answer: Answer) => void
  reject: (cause: AppError) => void
}

/** Runs prompts on the engine beside its requests, and outside of the node's table of them. */
export const createGenerator = (engine: Pick<Engine, 'submit' | 'cancel'>) => {
  const running = new Map<number, Running>()
  let nextId = firstId

  const start = ({ adapter, tokens, numNewTokens }: Prompt, ids: number[]): Promise<Answer> =>
    new Promise((resolve, reject) => {
      const id = nextId++
      engine.submit({
        id,
        adapter,
        tokens,
        maxNewTokens: numNewTokens,
        ignoreEos: true,
        sampling: { temperature: 0, numLogprobs },
      })
      running.set(id, { answer: [], resolve, reject })
      ids.push(id)
    })

  return {
    onStep: (report: StepReport): void => {
      if (running.size === 0) return
      report.tokenRequests.forEach((id, i) => {
        const logprobs = report.logprobs?.[i]
        if (logprobs === null || logprobs === undefined) return
        running.get(id)?.answer.push({ token: report.tokens[i] ?? 0, logprobs })
      })
      for (const { request, reason } of report.ends) {
        const ended = running.get(request)
        if (!running.delete(request) || ended === undefined) continue
        if (reason === 'length') ended.resolve(ended.answer)
        else ended.reject(toProbeError(reason, report.error))
      }
    },

    /**
     * The answers to all prompts. Rejects with AppError `adapter_invalid` where an output is not
     * finite, `overloaded` where the engine has no room for them, `unavailable` by the signal; what
     * still runs is cancelled then. Throws what the engine throws.
     */
    generate: async (prompts: readonly Prompt[], signal: AbortSignal): Promise<Answer[]> => {
      const ids: number[] = []
      const giveUp = (): void => {
        const timedOut = new AppError('unavailable', 'The node was too busy to try the adapter')
        for (const id of ids) running.get(id)?.reject(timedOut)
      }
      signal.addEventListener('abort', giveUp, { once: true })
      try {
        return await Promise.all(prompts.map((prompt) => start(prompt, ids)))
      } finally {
        signal.removeEventListener('abort', giveUp)
        for (const id of ids) if (running.delete(id)) engine.cancel(id)
      }
    },
  }
}

/** The engine ends one request of a step that went well with an error only where it is not finite. */
const toProbeError = (reason: string, stepError: string | null): AppError => {
  if (reason === 'error' && stepError === null) {
    const message =
      "With this adapter the model's output is not finite: its weights or lora_alpha are too large"
    return new AppError('adapter_invalid', message)
  }
  if (reason === 'evicted') {
    return new AppError('overloaded', 'The node has no memory to spare to try the adapter')
  }
  return new AppError('unavailable', 'The node broke off trying the adapter', { cause: stepError })
}
