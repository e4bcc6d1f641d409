import type { Bus } from '@punica/bus'
import { createScheduler, type Scheduler, type SchedulerOptions } from '@punica/scheduler'
import type { Logger, Metrics, Refusals, Tracing } from '@punica/service'
import type { Config } from './config.ts'
import { openDecisionLog } from './decision-log.ts'
import { lead } from './lead.ts'
import { campaign } from './leadership/lease.ts'
import { createRouterMetrics } from './router-metrics.ts'
import { watchFacts } from './standing-facts.ts'

type Deps = {
  bus: Pick<Bus, 'publish' | 'subscribe' | 'request' | 'serve' | 'records' | 'flush'>
  log: Pick<Logger, 'debug' | 'info' | 'warn'>
  metrics: Pick<Metrics, 'counter' | 'gauge' | 'histogram'>
  refusals: Pick<Refusals, 'refuse'>
  tracing: Tracing
  config: Omit<Config, 'natsUrl' | 'natsCredentialsFile'>
  ready: (facts: Record<string, unknown>) => void
}

/** Nodes that may refuse one request, for reasons that may pass, before its client is told. */
const maxRefusals = 5

/**
 * Stands by for the pool and leads it whenever the lease falls to this process, until the signal. All
 * of the policy is in packages/scheduler; each term begins with a new scheduler, whose picture the
 * nodes and gateways rebuild.
 */
export const routeUntil = async (signal: AbortSignal, deps: Deps): Promise<void> => {
  const { bus, log, config, ready } = deps
  const { pool, routerId, leaseMs } = config
  const options = { ...config, maxRefusals }
  const newScheduler = (): Scheduler => createScheduler(options)
  let scheduler = newScheduler()
  let epoch: number | null = null
  const metrics = createRouterMetrics({
    metrics: deps.metrics,
    scheduler: {
      queueLength: () => scheduler.queueLength(),
      queueLengths: () => scheduler.queueLengths(),
      scaleHint: () => scheduler.scaleHint(),
      snapshot: () => scheduler.snapshot(),
      gpuSeconds: () => scheduler.gpuSeconds(),
    },
  })
  deps.metrics.gauge({
    name: 'punica_router_leading',
    help: '1 where this process leads its pool, 0 where it stands by',
    collect: () => (epoch === null ? 0 : 1),
  })
  const clock = (): number => performance.now()
  const facts = await watchFacts(bus, pool)
  try {
    while (!signal.aborted) {
      ready({ pool, routerId, role: 'standby' })
      const term = await campaign(signal, { bus, log, pool, holder: routerId, leaseMs, clock })
      if (term === null) return
      epoch = term.epoch
      scheduler = newScheduler()
      const recording = await openRecording({ config, options, log, epoch: term.epoch })
      const onLeading = (): void => ready({ pool, routerId, role: 'leader', epoch: term.epoch })
      try {
        await lead(term, signal, { ...deps, metrics, scheduler, facts, recording, onLeading })
      } finally {
        epoch = null
        scheduler = newScheduler()
        await term.release()
        await recording?.close()
      }
    }
  } finally {
    facts.close()
  }
}

type Recording = Pick<Deps, 'config' | 'log'> & { options: SchedulerOptions; epoch: number }

/** A term that cannot be recorded is led all the same. */
const openRecording = async ({ config, options, log, epoch }: Recording) => {
  const { recordFolder: folder, recordMaxBytes: maxBytes, pool, routerId } = config
  if (folder === null) return null
  const name = `${pool}-${routerId}-${epoch}`
  try {
    return await openDecisionLog({ folder, name, maxBytes, scheduler: options, log })
  } catch (err) {
    log.warn({ err, folder }, 'recording of decisions not begun')
    return null
  }
}
