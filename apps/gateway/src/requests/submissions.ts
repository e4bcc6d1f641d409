import type { Bus } from '@punica/bus'
import { channels, type Task, toAppError, toWireError } from '@punica/schema'
import type { Logger } from '@punica/service'
import { createHolding, type HoldingLimits } from './holding.ts'
import type { SequenceEvent } from './sequence.ts'

export type SubmissionsDeps = HoldingLimits & {
  bus: Pick<Bus, 'request'>
  log: Pick<Logger, 'debug'>
  pool: string
  clock: () => number
}

type Outcome = Extract<
  SequenceEvent,
  { type: 'queued' | 'refused' | 'unanswered' | 'given_up'; attempt: number }
>

type Offer = { delayMs: number; traceparent: string | undefined }

/** Offers tasks to the router, and holds those that none takes for a bounded time. */
export type Submissions = {
  /** The newest offer of a request takes the place of one that has not been made yet. */
  offer(task: Task, how: Offer): void
  /** A router has had it: it is not new any more. */
  accepted(requestId: string): void
  forget(requestId: string): void
}

/** A router answers at once or not at all. */
const timeoutMs = 2_000

export const createSubmissions = (
  deps: SubmissionsDeps,
  onOutcome: (requestId: string, outcome: Outcome) => void,
): Submissions => {
  const holding = createHolding(deps)
  /** What is to be offered next, and when it is not at once, by which timer. */
  const due = new Map<string, { task: Task; timer: NodeJS.Timeout | undefined }>()
  /** Those that no router has had. */
  const fresh = new Set<string>()

  const withdraw = (requestId: string): void => {
    clearTimeout(due.get(requestId)?.timer)
    due.delete(requestId)
  }

  const accepted = (requestId: string): void => {
    fresh.delete(requestId)
    holding.release(requestId)
  }

  const offerNow = async (task: Task, traceparent: string | undefined): Promise<void> => {
    const { requestId, attempt } = task
    if (due.get(requestId)?.task !== task) return
    due.delete(requestId)
    const outcome = await submit(deps, task, traceparent)
    const isHeld = outcome.type === 'unanswered' && fresh.has(requestId)
    const error = isHeld ? holding.hold(requestId, deps.clock()) : null
    onOutcome(requestId, error === null ? outcome : { type: 'given_up', attempt, error })
  }

  return {
    offer: (task, { delayMs, traceparent }) => {
      const { requestId, wasQueued } = task
      withdraw(requestId)
      if (wasQueued !== true) fresh.add(requestId)
      // Never from within: whoever starts a sequence has not got it in hand yet.
      const now = (): void => void offerNow(task, traceparent)
      if (delayMs === 0) queueMicrotask(now)
      const timer = delayMs === 0 ? undefined : setTimeout(now, delayMs)
      due.set(requestId, { task, timer })
    },
    accepted,
    forget: (requestId) => {
      withdraw(requestId)
      accepted(requestId)
    },
  }
}

/** Hands a task to the router. */
const submit = async (
  { bus, log, pool }: SubmissionsDeps,
  task: Task,
  traceparent: string | undefined,
): Promise<Exclude<Outcome, { type: 'given_up' }>> => {
  const { requestId, attempt } = task
  try {
    const reply = await bus.request(channels.submit(pool), task, { timeoutMs, traceparent })
    switch (reply.type) {
      case 'queued':
        return { type: 'queued', attempt }
      case 'refused':
        return { type: 'refused', attempt, error: reply.error }
      case 'not_leading':
        return { type: 'unanswered', attempt }
    }
  } catch (err) {
    log.debug({ err, requestId, attempt }, 'submission failed')
    const error = toAppError(err)
    return error.code === 'unavailable'
      ? { type: 'unanswered', attempt }
      : { type: 'refused', attempt, error: toWireError(error) }
  }
}
