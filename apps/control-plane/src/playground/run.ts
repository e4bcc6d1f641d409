import type { Client } from '@punica/client'
import type { ChatBody } from '@punica/schema'
import type { PlaygroundUpdate } from '../generated/graphql.ts'
import { createAnswer } from './answers.ts'

export type Prompt = {
  models: readonly string[]
  prompt: string
  maxTokens: number
  temperature: number
  seed: number | null
}

type Options = {
  client: Pick<Client, 'chat'>
  prompt: Prompt
  /** Milliseconds from any fixed moment. */
  now: () => number
  /** Called once, when all models have ended or nobody reads any more. */
  onEnd: () => void
}

/** Tokens come faster than anyone reads: updates are at least this far apart. */
const updateIntervalMs = 50

/**
 * Asks every model at the same moment, and yields what they answer until all have ended. A model
 * that fails ends alone. `return()` aborts what still runs, even while a `next()` waits, which a
 * generator could not do.
 */
export const runPrompt = ({
  client,
  prompt,
  now,
  onEnd,
}: Options): AsyncIterableIterator<PlaygroundUpdate> => {
  const stop = new AbortController()
  const sentMs = now()
  const answers = prompt.models.map((model) => createAnswer(model, sentMs))
  let wake = (): void => {}
  let isOver = false

  const ask = async (model: string, index: number): Promise<void> => {
    const answer = answers[index]
    try {
      for await (const event of client.chat(toBody(prompt, model), { signal: stop.signal })) {
        answer?.handle(event, now())
        wake()
      }
    } catch (cause) {
      answer?.fail(cause)
    }
  }
  const all = Promise.all(prompt.models.map(ask)).then(() => {
    isOver = true
    wake()
    onEnd()
  })

  const take = (): PlaygroundUpdate['answers'] => answers.flatMap((answer) => answer.take() ?? [])
  return {
    next: async () => {
      for (;;) {
        const isLast = isOver
        const taken = take()
        if (taken.length > 0) return { done: false, value: { answers: taken } }
        if (isLast) return { done: true, value: undefined }
        await new Promise<void>((resolve) => {
          wake = resolve
        })
        if (!isOver) await Promise.race([all, after(updateIntervalMs)])
      }
    },
    return: async () => {
      stop.abort()
      return { done: true, value: undefined }
    },
    [Symbol.asyncIterator]() {
      return this
    },
  }
}

const after = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

const toBody = ({ prompt, maxTokens, temperature, seed }: Prompt, model: string): ChatBody => ({
  model,
  messages: [{ role: 'user', content: prompt }],
  max_tokens: maxTokens,
  temperature,
  seed,
})
