import type { Server } from 'node:net'
import { type ErrorCode, toAppError, type Usage } from '@punica/schema'
import type { Logger, Metrics, Span, Tracing } from '@punica/service'
import { createCallMetrics } from './call-metrics.ts'
import type { LatencyReport } from './latency-report.ts'
import type { CallEvent } from './requests/calls.ts'

type Named = {
  type: string
  requestId: string
  tenant: string
  traceparent?: string | undefined
  body: { model: string }
}

/** Follows one call: everything that its client is told of it, or why it did not begin. */
export type Watch = {
  /** The whole of the call. */
  span: Span
  /** Does a part of the work as a span of its own. */
  during<T>(name: string, work: () => T): T
  /** What it is for: an adapter as `tenant/name`, or null for the base model alone. */
  planned(plan: { adapterName: string | null; numPromptTokens: number }): void
  observe(event: CallEvent): void
  refused(cause: unknown): void
  /** Its client went away. */
  cancelled(): void
}

type Deps = {
  metrics: Pick<Metrics, 'counter' | 'histogram'>
  tracing: Tracing
  log: Pick<Logger, 'debug'>
  latency: Pick<LatencyReport, 'firstToken' | 'tokenGap'>
  clock: () => number
}

/** Counts and traces what calls come to. Nothing of it has a word of the prompt or the answer. */
export const createWatches = ({
  metrics,
  tracing,
  log,
  latency,
  clock,
}: Deps): ((call: Named) => Watch) => {
  const count = createCallMetrics(metrics, clock)
  return ({ type: endpoint, requestId, tenant, traceparent, body }) => {
    const startMs = clock()
    const of = { endpoint, tenant, adapter: '' }
    /** By choice: how many tokens it had when, to tell the time between two. */
    const progress: { numTokens: number; atMs: number }[] = []
    let numPromptTokens = 0
    let numCounted: number | null = null
    let hasEnded = false
    const span = tracing.start('request', {
      parent: traceparent,
      attributes: {
        'punica.request_id': requestId,
        'punica.tenant': tenant,
        'gen_ai.operation.name': endpoint === 'chat' ? 'chat' : 'text_completion',
        'gen_ai.request.model': body.model,
      },
    })

    const end = (outcome: ErrorCode | 'ok', usage?: Usage): void => {
      if (hasEnded) return
      hasEnded = true
      count.end(of, outcome)
      if (usage !== undefined) {
        countTokens(usage.completion_tokens)
        span.set({
          'gen_ai.usage.input_tokens': usage.prompt_tokens,
          'gen_ai.usage.output_tokens': usage.completion_tokens,
        })
      }
      span.end(outcome === 'ok' ? undefined : outcome)
      const durationMs = clock() - startMs
      log.debug({ requestId, tenant, endpoint, outcome, durationMs }, 'call ended')
    }

    /** Over all choices; the prompt counts with the first piece of an answer. */
    const countTokens = (numTokens: number): void => {
      if (numCounted === null) count.tokens(of, 'prompt', numPromptTokens)
      count.tokens(of, 'completion', numTokens - (numCounted ?? 0))
      numCounted = numTokens
    }

    const observeDelta = ({ choice, numTokens }: Extract<CallEvent, { type: 'delta' }>): void => {
      const atMs = clock()
      const before = progress[choice]
      if (progress.length === 0) {
        count.firstToken(of, atMs - startMs)
        latency.firstToken(atMs - startMs)
        span.event('first_token')
      } else if (before !== undefined && numTokens > before.numTokens) {
        const gapMs = (atMs - before.atMs) / (numTokens - before.numTokens)
        count.tokenGap(of, gapMs)
        latency.tokenGap(gapMs)
      }
      progress[choice] = { numTokens, atMs }
      countTokens((numCounted ?? 0) + numTokens - (before?.numTokens ?? 0))
    }

    return {
      span,
      during: (name, work) => {
        const part = tracing.start(name, { parent: span.traceparent })
        try {
          return work()
        } finally {
          part.end()
        }
      },
      planned: (plan) => {
        of.adapter = plan.adapterName ?? ''
        numPromptTokens = plan.numPromptTokens
      },
      observe: (event) => {
        if (event.type === 'delta') observeDelta(event)
        else if (event.type === 'done') end('ok', event.usage)
        else if (event.type === 'failed') end(event.error.code)
      },
      refused: (cause) => end(toAppError(cause).code),
      cancelled: () => end('cancelled'),
    }
  }
}

/** What is not billed yet, and what must be billed by hand. */
export const createUsageMetrics = (
  metrics: Pick<Metrics, 'counter' | 'gauge'>,
  numWaiting: () => number,
): { onLost: () => void } => {
  metrics.gauge({
    name: 'punica_gateway_usage_waiting',
    help: 'Calls whose usage the stream has not taken yet',
    collect: numWaiting,
  })
  const lost = metrics.counter({
    name: 'punica_gateway_usage_lost_total',
    help: 'Usage events that were given up and logged instead',
  })
  return { onLost: () => lost.inc() }
}

/** How near the gateway is to its limit of connections, and what it costs there. */
export const watchConnections = (
  server: Server,
  metrics: Pick<Metrics, 'counter' | 'gauge'>,
): void => {
  let numOpen = 0
  metrics.gauge({
    name: 'punica_gateway_connections',
    help: 'HTTP connections that are open',
    collect: () => numOpen,
  })
  const refused = metrics.counter({
    name: 'punica_gateway_connections_refused_total',
    help: 'HTTP connections above MAX_CONNECTIONS, closed as they came',
  })
  server.on('connection', (socket) => {
    numOpen++
    socket.once('close', () => numOpen--)
  })
  server.on('drop', () => refused.inc())
}
