import type { Bus } from '@punica/bus'
import type { Command, Scheduler, SchedulerEvent } from '@punica/scheduler'
import { channels, type NodeEvent } from '@punica/schema'
import type { Logger, Tracing } from '@punica/service'
import type { Config } from './config.ts'
import type { Term } from './leadership/lease.ts'
import { type Bare, createPerformer, toReply } from './perform.ts'
import { createRequestTraces } from './request-traces.ts'
import type { createRouterMetrics } from './router-metrics.ts'
import type { StandingFacts } from './standing-facts.ts'

type Deps = {
  bus: Pick<Bus, 'publish' | 'subscribe' | 'request' | 'serve' | 'flush'>
  log: Pick<Logger, 'debug' | 'info' | 'warn'>
  metrics: ReturnType<typeof createRouterMetrics>
  config: Pick<Config, 'pool' | 'heartbeatTimeoutMs'>
  scheduler: Scheduler
  tracing: Tracing
  facts: StandingFacts
}

/** So often nodes and gateways are told who leads: a message may be lost, and a node may be new. */
const announceMs = 1_000

/**
 * Leads the pool for a term: messages become events of the scheduler, its commands messages. It does
 * nothing while the term is not held, so that two leaders never act at the same time. Resolves when
 * the term has ended or the signal is aborted; `onLeading` is called once requests are taken.
 */
export const lead = async (
  term: Term,
  signal: AbortSignal,
  deps: Deps & { onLeading: () => void },
): Promise<void> => {
  const { bus, log, config, scheduler, metrics, facts } = deps
  const { pool, heartbeatTimeoutMs } = config
  const { epoch } = term
  const over = AbortSignal.any([signal, term.ended])
  const traces = createRequestTraces(deps.tracing)
  const perform = createPerformer({ bus, log, config, epoch, traces, onAnswer: note })

  function handle(bare: Bare<SchedulerEvent>): Command[] {
    const event: SchedulerEvent = { nowMs: Date.now(), ...bare }
    const startMs = performance.now()
    const commands = scheduler.handle(event)
    metrics.observe(event, commands, performance.now() - startMs)
    traces.observe(event, commands)
    for (const command of commands) perform(command, event)
    return commands
  }

  const mayAct = (): boolean => !over.aborted && term.isHeld()

  function note(event: Bare<SchedulerEvent>): void {
    if (mayAct()) handle(event)
  }

  const announce = (): void => {
    if (mayAct()) bus.publish(channels.leader(pool), { epoch })
  }

  const stops = [
    // Quotas and weights are known before the first request is taken.
    facts.follow((event) => void handle(event)),
    bus.serve(channels.submit(pool), (task, { traceparent }) => {
      if (!mayAct()) return { type: 'not_leading' }
      traces.submitted(task, traceparent)
      return toReply(task, handle({ type: 'submitted', task }))
    }),
    bus.subscribe(channels.cancel(pool), (cancel) => note({ type: 'cancelled', ...cancel })),
    bus.subscribe(channels.gatewayStatus(pool), ({ gatewayId, leaving }) =>
      note({ type: 'gatewayReported', gatewayId, leaving }),
    ),
    bus.subscribe(channels.nodeEvents(pool), (message) => note(toEvent(message))),
  ]
  const intervals = [
    setInterval(() => note({ type: 'tick' }), heartbeatTimeoutMs / 10),
    setInterval(announce, announceMs),
  ]
  try {
    await bus.flush()
    announce()
    deps.onLeading()
    await aborted(over)
    if (term.isHeld()) handle({ type: 'stopping' })
  } finally {
    for (const interval of intervals) clearInterval(interval)
    for (const stop of stops) stop()
  }
}

const toEvent = (message: NodeEvent): Bare<SchedulerEvent> => {
  switch (message.type) {
    case 'status':
      return { type: 'nodeReported', status: message.status }
    case 'leaving':
      return { type: 'nodeLeft', nodeId: message.nodeId }
    case 'ended':
      return message
  }
}

const aborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
