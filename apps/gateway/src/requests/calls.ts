import {
  AppError,
  type FinishReason,
  type Task,
  toWireError,
  type Usage,
  type WireError,
} from '@punica/schema'
import type { Span } from '@punica/service'
import type { Tokenizer } from '@punica/tokenizer'
import type { Plan } from '../prompts/plan.ts'
import { seedOfChoice } from '../prompts/sampling.ts'
import type { Meter } from '../usage/meter.ts'
import { createAnswerText, type Piece } from './answer-text.ts'
import type { Origin } from './sequence.ts'
import type { SequenceNews, Sequences } from './sequences.ts'

/** What a client is told of its call, in order; `done` and `failed` are the last. */
export type CallEvent =
  /** The router has every choice. */
  | { type: 'accepted' }
  | ({ type: 'delta'; choice: number; numTokens: number; from: Origin } & Piece)
  | { type: 'finished'; choice: number; reason: FinishReason; from: Origin | null }
  | { type: 'done'; usage: Usage }
  | { type: 'failed'; error: WireError }

export type Call = {
  /** The client has gone: everything stops, and nothing more is told. */
  cancel(): void
  /** Ends it with an error, unless it has ended. */
  fail(error: AppError): void
}

export type Calls = {
  /**
   * Begins a call. Throws `overloaded` when too much is under way and `unavailable` when this
   * gateway is about to stop. Events come later, never from within.
   */
  start(plan: Plan, span: Span, listener: (event: CallEvent) => void): Call
  numRunning(): number
  /** Refuses new calls and resolves when those under way have ended, or failed by `graceMs`. */
  drain(graceMs: number): Promise<void>
}

export type CallsDeps = {
  sequences: Pick<Sequences, 'start' | 'numRunning'>
  tokenizer: Pick<Tokenizer, 'createDetokenizer' | 'eosTokenIds'>
  meter: Pick<Meter, 'open'>
  gatewayId: string
  maxInFlight: number
  timeoutMs: number
  clock: () => number
}

/** Runs calls of one or several choices, with a bound on their number and on their time. */
export const createCalls = (deps: CallsDeps): Calls => {
  const calls = new Set<Call>()
  let isDraining = false
  let onIdle = (): void => {}

  return {
    start: (plan, span, listener) => {
      if (isDraining) throw stopping()
      if (deps.sequences.numRunning() + plan.numChoices > deps.maxInFlight) {
        throw new AppError(
          'overloaded',
          `This gateway has ${deps.maxInFlight} sequences under way, its limit; try again later`,
          { retryAfterMs: 1_000 },
        )
      }
      const call = startCall(deps, { plan, span, listener }, () => {
        calls.delete(call)
        if (calls.size === 0) onIdle()
      })
      calls.add(call)
      return call
    },
    numRunning: () => calls.size,
    drain: async (graceMs) => {
      isDraining = true
      const idle = new Promise<void>((resolve) => {
        onIdle = resolve
      })
      if (calls.size === 0) return
      const timer = setTimeout(() => {
        for (const call of [...calls]) call.fail(stopping())
      }, graceMs)
      await idle
      clearTimeout(timer)
    },
  }
}

const stopping = (): AppError =>
  new AppError('unavailable', 'This gateway is about to stop; try again', { retryAfterMs: 1_000 })

type NewCall = { plan: Plan; span: Span; listener: (event: CallEvent) => void }

/** Sequences have ids of their own, from which the call's follows. */
const startCall = (
  { sequences, tokenizer, meter, gatewayId, timeoutMs, clock }: CallsDeps,
  { plan, span, listener }: NewCall,
  onEnd: () => void,
): Call => {
  const arrivalMs = clock()
  let numAccepted = 0
  let numFinished = 0
  let isEnded = false
  const account = openAccount(meter, plan)

  const end = (): void => {
    isEnded = true
    clearTimeout(deadline)
    for (const choice of choices) choice.cancel()
    account.close()
    onEnd()
  }
  const call: Call = {
    cancel: () => {
      if (!isEnded) end()
    },
    fail: (error) => {
      if (isEnded) return
      end()
      listener({ type: 'failed', error: toWireError(error) })
    },
  }

  const onNews = (choice: number, news: SequenceNews): void => {
    if (isEnded) return
    switch (news.type) {
      case 'accepted':
        if (++numAccepted === plan.numChoices) listener(news)
        break
      case 'delta':
        account.deliver(choice, news.numTokens)
        listener({ ...news, choice })
        break
      case 'finished':
        account.deliver(choice, news.numTokens)
        listener({ type: 'finished', choice, reason: news.reason, from: news.from })
        if (++numFinished < plan.numChoices) break
        end()
        listener({ type: 'done', usage: toUsage(plan.promptTokens.length, account.numDelivered()) })
        break
      case 'failed':
        end()
        listener(news)
    }
  }

  const deadline = setTimeout(() => {
    call.fail(new AppError('deadline_exceeded', `The request took longer than ${timeoutMs} ms`))
  }, timeoutMs)
  const task = toTask(plan, { gatewayId, arrivalMs, deadlineMs: arrivalMs + timeoutMs })
  const choices = Array.from({ length: plan.numChoices }, (_, choice) =>
    sequences.start({
      task: {
        ...task,
        requestId: `${plan.requestId}-${choice}`,
        stopTokens: tokenizer.eosTokenIds.slice(0, 16),
        sampling: { ...plan.sampling, seed: seedOfChoice(plan.sampling.seed, choice) },
      },
      promptTokens: plan.promptTokens,
      text: createAnswerText(tokenizer.createDetokenizer(), plan.stops),
      span,
      listener: (news) => onNews(choice, news),
    }),
  )
  return call
}

/** The usage of all choices together; each says how many tokens it has by now. */
const openAccount = (
  meter: CallsDeps['meter'],
  { requestId, tenant, adapter, promptTokens }: Plan,
) => {
  const adapterDigest = adapter?.digest ?? null
  const account = meter.open({
    requestId,
    tenant,
    adapterDigest,
    promptTokens: promptTokens.length,
  })
  const byChoice: number[] = []
  const numDelivered = (): number => byChoice.reduce((sum, numTokens) => sum + numTokens, 0)
  return {
    numDelivered,
    deliver: (choice: number, numTokens: number): void => {
      byChoice[choice] = numTokens
      account.deliver(numDelivered())
    },
    close: account.close,
  }
}

const toTask = (
  { tenant, adapter, maxNewTokens, ignoreEos, grammar }: Plan,
  when: Pick<Task, 'gatewayId' | 'arrivalMs' | 'deadlineMs'>,
) => ({
  ...{ tenant, adapter, maxNewTokens, ignoreEos },
  ...(grammar === null ? {} : { grammar: [...grammar] }),
  ...when,
})

const toUsage = (numPromptTokens: number, numGenerated: number): Usage => ({
  prompt_tokens: numPromptTokens,
  completion_tokens: numGenerated,
  total_tokens: numPromptTokens + numGenerated,
})
