import { type ErrorCode, toAppError } from '@punica/schema'
import type { Logger, Metrics } from '@punica/service'
import type { CallEvent } from './requests/calls.ts'

type Named = { type: string; requestId: string; tenant: string }

/** Follows one call: everything that its client is told of it, or why it did not begin. */
export type Watch = {
  observe(event: CallEvent): void
  refused(cause: unknown): void
  /** Its client went away. */
  cancelled(): void
}

/** Counts what calls come to: outcomes, tokens, and the time to the first piece of text. */
export const createWatches = (
  metrics: Pick<Metrics, 'counter' | 'histogram'>,
  log: Pick<Logger, 'debug'>,
  clock: () => number,
): ((call: Named) => Watch) => {
  const outcomes = metrics.counter({
    name: 'punica_gateway_calls_total',
    help: 'Calls that ended, by endpoint and outcome (ok or an error code)',
    labelNames: ['endpoint', 'outcome'],
  })
  const tokens = metrics.counter({
    name: 'punica_gateway_tokens_total',
    help: 'Tokens of answered calls, by kind (prompt or completion)',
    labelNames: ['kind'],
  })
  const firstText = metrics.histogram({
    name: 'punica_gateway_first_text_seconds',
    help: 'From the beginning of a call to the first piece of its answer',
    buckets: [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60],
  })
  return ({ type: endpoint, requestId, tenant }) => {
    const startMs = clock()
    let hasText = false
    let hasEnded = false
    const end = (outcome: ErrorCode | 'ok'): void => {
      if (hasEnded) return
      hasEnded = true
      outcomes.inc({ endpoint, outcome })
      const durationMs = clock() - startMs
      log.debug({ requestId, tenant, endpoint, outcome, durationMs }, 'call ended')
    }
    return {
      observe: (event) => {
        if (event.type === 'delta' && !hasText) {
          hasText = true
          firstText.observe((clock() - startMs) / 1_000)
        } else if (event.type === 'done') {
          end('ok')
          tokens.inc({ kind: 'prompt' }, event.usage.prompt_tokens)
          tokens.inc({ kind: 'completion' }, event.usage.completion_tokens)
        } else if (event.type === 'failed') end(event.error.code)
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
