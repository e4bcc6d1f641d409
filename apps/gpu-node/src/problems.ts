import type { Problem } from '@punica/bus'
import type { Logger, Metrics } from '@punica/service'

/** Counts messages that no handler got, or that made one throw; each is dropped and affects no other. */
export const createProblemCounter = (
  metrics: Pick<Metrics, 'counter'>,
  log: Pick<Logger, 'warn'>,
) => {
  const dropped = metrics.counter({
    name: 'punica_node_dropped_messages_total',
    help: 'Messages that were dropped, by what was wrong with them',
    labelNames: ['kind'],
  })
  return ({ subject, kind, error }: Problem): void => {
    dropped.inc({ kind })
    log.warn({ subject, kind, err: error }, 'message dropped')
  }
}
