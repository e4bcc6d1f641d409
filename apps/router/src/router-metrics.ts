import type { Command, Scheduler, SchedulerEvent } from '@punica/scheduler'
import type { Metrics } from '@punica/service'

/** What an operator watches of a router, counted from the events and commands that pass. */
export const createRouterMetrics = (
  metrics: Pick<Metrics, 'counter' | 'gauge' | 'histogram'>,
  scheduler: Pick<Scheduler, 'queueLength' | 'snapshot'>,
) => {
  metrics.gauge({
    name: 'punica_router_queue_length',
    help: 'Requests that wait for a node',
    collect: scheduler.queueLength,
  })
  metrics.gauge({
    name: 'punica_router_nodes',
    help: 'Nodes that have reported and are not lost',
    collect: () => scheduler.snapshot().nodes.length,
  })
  metrics.gauge({
    name: 'punica_router_active_nodes',
    help: 'Nodes that run at least one request',
    collect: () => scheduler.snapshot().nodes.filter(({ requests }) => requests.length > 0).length,
  })
  const decisions = metrics.counter({
    name: 'punica_router_decisions_total',
    help: 'Decisions by kind',
    labelNames: ['kind'],
  })
  const moves = metrics.counter({
    name: 'punica_router_moves_total',
    help: 'Requests that had to leave a node before their end, by reason',
    labelNames: ['reason'],
  })
  const latency = metrics.histogram({
    name: 'punica_router_decision_seconds',
    help: 'Time to handle one event',
    buckets: [0.000_02, 0.000_05, 0.000_1, 0.000_2, 0.000_5, 0.001, 0.002, 0.005, 0.02, 0.1],
  })

  return {
    observe: (event: SchedulerEvent, commands: readonly Command[], durationMs: number): void => {
      latency.observe(durationMs / 1_000)
      if (event.type === 'ended' && event.reason === 'evicted') {
        moves.inc({ reason: event.byPressure ? 'no_kv_page' : 'evicted' })
      }
      for (const command of commands) {
        if (command.type === 'decide') decisions.inc({ kind: command.decision.kind })
        if (command.type === 'interrupt') moves.inc({ reason: command.cause })
      }
    },
  }
}
