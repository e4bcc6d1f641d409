import { patternOf } from '@punica/schema'
import type { Logger } from 'pino'
import type { Metrics } from './metrics.ts'

/** Counts messages that were not obeyed; each of them was dropped and affected no other. */
export type Refusals = {
  /** For a bus: what no handler got, or what made one throw. */
  onProblem(problem: { subject: string; kind: string; error: unknown }): void
  /** A handler was given what it must not obey; `reason` is one of few. */
  refuse(subject: string, reason: string): void
}

/** Lines of the log in a second; of a flood the counter tells. */
const maxLinesPerSecond = 10

export const createRefusals = (
  metrics: Pick<Metrics, 'counter'>,
  log: Pick<Logger, 'warn'>,
): Refusals => {
  const refused = metrics.counter({
    name: 'punica_refused_messages_total',
    help: 'Messages that were not obeyed, by the pattern of their subject and the reason',
    labelNames: ['subject', 'reason'],
  })
  let second = 0
  let numLines = 0

  const refuse = (subject: string, reason: string, err?: unknown): void => {
    refused.inc({ subject: patternOf(subject), reason })
    const now = Math.floor(performance.now() / 1_000)
    if (now !== second) numLines = 0
    second = now
    if (++numLines > maxLinesPerSecond) return
    log.warn({ subject, reason, ...(err === undefined ? {} : { err }) }, 'message refused')
  }

  return {
    onProblem: ({ subject, kind, error }) => refuse(subject, kind, error),
    refuse: (subject, reason) => refuse(subject, reason),
  }
}
