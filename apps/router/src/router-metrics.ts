import type { Command, Scheduler, SchedulerEvent } from '@punica/scheduler'
import { createTopLabels, type Metrics, otherLabel } from '@punica/service'

type MetricsDeps = {
  metrics: Pick<Metrics, 'counter' | 'gauge' | 'histogram'>
  scheduler: Pick<
    Scheduler,
    'queueLength' | 'queueLengths' | 'scaleHint' | 'snapshot' | 'gpuSeconds'
  >
}

/** Tenants that have series of their own. */
const maxTenants = 50
const windowMs = 60_000

/** What an operator watches of a router, counted from the events and commands that pass. */
export const createRouterMetrics = ({ metrics, scheduler }: MetricsDeps) => {
  createGauges({ metrics, scheduler })
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
  const refilled = metrics.counter({
    name: 'punica_router_reprefilled_tokens_total',
    help: 'Tokens of moved requests that their new node has to compute again',
  })
  const placed = metrics.counter({
    name: 'punica_router_placed_requests_total',
    help: 'New requests that were given a node, by tenant',
    labelNames: ['tenant'],
  })
  const waited = metrics.counter({
    name: 'punica_router_queue_wait_seconds_total',
    help: 'Time from arrival at the gateway to a node, summed over the placed requests, by tenant',
    labelNames: ['tenant'],
  })
  const waits = metrics.histogram({
    name: 'punica_router_queue_seconds',
    help: 'Time from arrival at the gateway to a node',
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60],
  })
  const tenantOf = createTopLabels({
    max: maxTenants,
    windowMs,
    clock: Date.now,
    onDropped: (tenant) => {
      placed.remove({ tenant })
      waited.remove({ tenant })
    },
  })
  const latency = metrics.histogram({
    name: 'punica_router_decision_seconds',
    help: 'Time to handle one event',
    buckets: [0.000_02, 0.000_05, 0.000_1, 0.000_2, 0.000_5, 0.001, 0.002, 0.005, 0.02, 0.1],
  })

  const observeAssign = (nowMs: number, { task }: Extract<Command, { type: 'assign' }>): void => {
    const { tenant, attempt, arrivalMs, tokens } = task
    if (attempt > 0) {
      refilled.inc(tokens.length)
      return
    }
    // The clock of the gateway may be a little ahead of ours.
    const waitedSeconds = Math.max(0, nowMs - arrivalMs) / 1_000
    waits.observe(waitedSeconds)
    const label = tenantOf(tenant)
    placed.inc({ tenant: label })
    waited.inc({ tenant: label }, waitedSeconds)
  }

  return {
    observe: (event: SchedulerEvent, commands: readonly Command[], durationMs: number): void => {
      latency.observe(durationMs / 1_000)
      for (const command of commands) {
        if (command.type === 'assign') observeAssign(event.nowMs, command)
        if (command.type === 'evict') moves.inc({ reason: command.cause })
        if (command.type === 'interrupt') moves.inc({ reason: command.cause })
        if (command.type !== 'decide') continue
        decisions.inc({ kind: command.decision.kind })
        // Of an end, the scheduler decides nothing where it had ordered the move itself.
        if (command.decision.kind === 'evict' && event.type === 'ended') {
          moves.inc({ reason: event.byPressure ? 'no_kv_page' : 'evicted' })
        }
      }
    },
  }
}

const createGauges = ({ metrics, scheduler }: MetricsDeps): void => {
  const gauge = (name: string, help: string, collect: () => number): void => {
    metrics.gauge({ name: `punica_router_${name}`, help, collect })
  }
  gauge('queue_length', 'Requests that wait for a node', () => {
    // The series by tenant comes after this one, and so is up to date in the same scrape.
    byTenant.reset()
    const longest = [...scheduler.queueLengths()].sort(([, a], [, b]) => b - a)
    for (const [i, [tenant, length]] of longest.entries()) {
      byTenant.inc({ tenant: i < maxTenants ? tenant : otherLabel }, length)
    }
    return scheduler.queueLength()
  })
  const byTenant = metrics.gauge({
    name: 'punica_router_tenant_queue_length',
    help: 'Requests that wait for a node, by tenant',
    labelNames: ['tenant'],
  })
  gauge(
    'nodes',
    'Nodes that have reported and are not lost',
    () => scheduler.snapshot().nodes.length,
  )
  gauge(
    'active_nodes',
    'Nodes that run at least one request',
    () => scheduler.snapshot().nodes.filter(({ requests }) => requests.length > 0).length,
  )
  gauge('active_nodes_lower_bound', 'The fewest nodes whose batches hold what runs', () =>
    countFewest(scheduler.snapshot().nodes),
  )
  gauge(
    'active_gpu_seconds',
    'Time that nodes have run requests, summed over the nodes, since this router leads',
    () => scheduler.gpuSeconds().active,
  )
  gauge(
    'least_loaded_gpu_seconds',
    'The same had each request gone to the node with the fewest; the difference is what is saved',
    () => scheduler.gpuSeconds().leastLoaded,
  )
  gauge(
    'wanted_nodes',
    'Nodes that the pool should have; those it has until there is a hint',
    () => scheduler.scaleHint()?.wanted ?? scheduler.snapshot().nodes.length,
  )
}

/** The largest first. */
const countFewest = (nodes: ReturnType<Scheduler['snapshot']>['nodes']): number => {
  let numLeft = nodes.reduce((sum, { requests }) => sum + requests.length, 0)
  let numNodes = 0
  for (const { maxBatchSize } of nodes.toSorted((a, b) => b.maxBatchSize - a.maxBatchSize)) {
    if (numLeft <= 0) break
    numLeft -= maxBatchSize
    numNodes++
  }
  return numNodes
}
