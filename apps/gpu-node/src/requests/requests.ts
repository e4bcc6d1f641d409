import type { AdapterHandle, Engine, StepReport } from '@punica/native-sgmv'
import {
  type AdapterRef,
  AppError,
  type AssignReply,
  type EndReason,
  type Task,
  toWireError,
} from '@punica/schema'
import type { Logger, Tracing } from '@punica/service'
import type { Adapters } from '../adapters/adapters.ts'
import type { createStepPublisher, End } from '../publish-steps.ts'
import { toTaskError } from '../task-error.ts'
import type { AttemptId, Entry, Table } from './table.ts'
import { traceRequest } from './trace.ts'

type Deps = {
  engine: Pick<Engine, 'submit' | 'cancel' | 'evict'>
  adapters: Pick<Adapters, 'tryAcquire' | 'acquire' | 'release'>
  table: Table
  publisher: ReturnType<typeof createStepPublisher>
  log: Pick<Logger, 'warn' | 'error'>
  tracing: Tracing
  /** More than the scheduler ever assigns, so that a mad one does no harm. */
  maxRequests: number
  /** Called when a request has ended and its gateway has been told. */
  onEnd: (end: End) => void
}

/** The life of the requests of a node, from assignment to end. */
export const createRequests = (deps: Deps) => {
  const { engine, adapters, table, publisher, log, tracing, maxRequests, onEnd } = deps

  const settle = (ends: readonly End[]): void => {
    for (const end of ends) {
      const { entry } = end
      if (!table.remove(entry)) continue
      entry.trace.ended(end.reason, entry.numGenerated)
      if (entry.holdsAdapter && entry.task.adapter !== null) {
        adapters.release(entry.task.adapter.digest)
      }
      onEnd(end)
    }
  }

  /** Ends requests without the engine: it never had them, or no longer answers. */
  const endHere = (entries: readonly Entry[], reason: EndReason, error?: AppError): void => {
    const ends = entries.map((entry): End => {
      const failure = error === undefined ? {} : { error }
      return { entry, reason, byPressure: false, ...failure }
    })
    publisher.publishEnds(ends)
    settle(ends)
  }

  const submit = (entry: Entry, adapter: AdapterHandle): void => {
    engine.submit(toEngineRequest(entry, adapter))
    entry.trace.started()
    entry.isInEngine = true
  }

  const loadAndSubmit = async (entry: Entry, adapter: AdapterRef): Promise<void> => {
    entry.trace.loading()
    try {
      const handle = await adapters.acquire(adapter)
      if (table.find(entry.task) !== entry) {
        adapters.release(adapter.digest)
        return
      }
      entry.holdsAdapter = true
      submit(entry, handle)
    } catch (cause) {
      const error = toTaskError(cause)
      const { requestId, attempt } = entry.task
      log.warn({ requestId, attempt, digest: adapter.digest, err: cause }, 'request not started')
      if (table.find(entry.task) === entry) endHere([entry], 'error', error)
    }
  }

  /** Starts it, at once where its adapter is loaded. Throws what the engine throws. */
  const start = (entry: Entry): void => {
    const { adapter } = entry.task
    const handle = adapter === null ? 0 : adapters.tryAcquire(adapter.digest)
    entry.holdsAdapter = adapter !== null && handle !== null
    if (handle !== null) submit(entry, handle)
    else if (adapter !== null) void loadAndSubmit(entry, adapter)
  }

  /** An attempt that is there already is accepted again and not started twice. */
  const assign = (task: Task, traceparent: string | undefined): AssignReply => {
    if (table.find(task) !== undefined) return { type: 'accepted' }
    if (table.size >= maxRequests) return refuse(tooMany(maxRequests))
    if (task.numPromptTokens > task.tokens.length) return refuse(wrongPromptLength(task))
    const entry = table.add(task, traceRequest(tracing, task, traceparent))
    try {
      start(entry)
      return { type: 'accepted' }
    } catch (cause) {
      table.remove(entry)
      if (entry.holdsAdapter && task.adapter !== null) adapters.release(task.adapter.digest)
      return refuse(toTaskError(cause))
    }
  }

  /** Cancels or evicts: between two steps where the engine has it, else at once. */
  const stop = (id: AttemptId, how: 'cancel' | 'evict'): void => {
    const entry = table.find(id)
    if (entry === undefined) return
    if (entry.isInEngine) engine[how](entry.engineId)
    else endHere([entry], how === 'cancel' ? 'cancelled' : 'evicted')
  }

  return {
    assign,
    stop,
    evictAll: (): void => {
      for (const { task } of table.list()) stop(task, 'evict')
    },
    /** The engine no longer answers: what it had goes back to the gateways. */
    abandonAll: (): void => endHere(table.list(), 'evicted'),
    onStep: (report: StepReport): void => {
      const error = report.error === null ? undefined : stepFailed(report.error)
      settle(publisher.publishStep(report, error))
    },
  }
}

/** KV pages are shared only within a tenant, and only under the same adapter. */
const toEngineRequest = ({ engineId, task }: Entry, adapter: AdapterHandle) => {
  const { seed, ...sampling } = task.sampling
  return {
    id: engineId,
    adapter,
    cacheKey: `${task.adapter?.digest ?? 'base'}:${task.tenant}`,
    tokens: task.tokens,
    numPromptTokens: task.numPromptTokens,
    maxNewTokens: task.maxNewTokens,
    stopTokens: task.stopTokens,
    ignoreEos: task.ignoreEos,
    ...(task.grammar === undefined ? {} : { grammar: task.grammar }),
    sampling: { ...sampling, seed: BigInt(seed) },
  }
}

const refuse = (error: AppError): AssignReply => ({ type: 'refused', error: toWireError(error) })

const tooMany = (maxRequests: number): AppError =>
  new AppError('overloaded', `The node holds ${maxRequests} requests, its limit`, {
    retryAfterMs: 1_000,
  })

const wrongPromptLength = ({ numPromptTokens, tokens }: Task): AppError =>
  new AppError(
    'invalid_request',
    `numPromptTokens: is ${numPromptTokens}, and there are only ${tokens.length} tokens`,
    { param: 'numPromptTokens' },
  )

const stepFailed = (cause: string): AppError =>
  new AppError('internal', 'The engine failed while it made the next token', { cause })
