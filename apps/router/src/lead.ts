import type { Bus, Delivery } from '@punica/bus'
import type { Command, Scheduler, SchedulerEvent } from '@punica/scheduler'
import {
  channels,
  type GatewayStatus,
  type NodeEvent,
  type NodeStatus,
  type SubmitReply,
  type Task,
} from '@punica/schema'
import type { Logger, Refusals, Tracing } from '@punica/service'
import type { Config } from './config.ts'
import type { DecisionLog } from './decision-log.ts'
import type { Term } from './leadership/lease.ts'
import { type Bare, createPerformer, toReply } from './perform.ts'
import { createRequestTraces } from './request-traces.ts'
import type { createRouterMetrics } from './router-metrics.ts'
import type { StandingFacts } from './standing-facts.ts'
import { createWaitingLists } from './waiting-lists.ts'

type Deps = {
  bus: Pick<Bus, 'publish' | 'subscribe' | 'request' | 'serve' | 'flush'>
  log: Pick<Logger, 'debug' | 'info' | 'warn'>
  metrics: ReturnType<typeof createRouterMetrics>
  config: Pick<Config, 'pool' | 'heartbeatTimeoutMs' | 'settleMs'>
  scheduler: Scheduler
  refusals: Pick<Refusals, 'refuse'>
  tracing: Tracing
  facts: StandingFacts
  recording: Pick<DecisionLog, 'record'> | null
}

/** So often nodes and gateways are told who leads: a message may be lost, and a node may be new. */
const announceMs = 1_000
/** Many nodes may show at once that they have not heard; one announcement reaches all of them. */
const minAnnounceMs = 100
/** So often those who watch the pool are told of it. */
const reportMs = 1_000

/**
 * Leads the pool for a term: messages become events of the scheduler, its commands messages. Resolves
 * when the term has ended or the signal is aborted; `onLeading` is called once requests are taken.
 */
export const lead = async (
  term: Term,
  signal: AbortSignal,
  deps: Deps & { onLeading: () => void },
): Promise<void> => {
  const { bus, config, facts, onLeading } = deps
  const { pool, heartbeatTimeoutMs, settleMs } = config
  const over = AbortSignal.any([signal, term.ended])
  const { handle, takeTask, note, announce, report, hearGateway, hearNode, tick } = createLeader(
    () => !over.aborted && term.isHeld(),
    { ...deps, epoch: term.epoch },
  )
  const stops = [
    // Quotas and weights are known before the first request is taken.
    facts.follow((event) => void handle(event)),
    bus.serve(channels.submit(pool), takeTask),
    bus.subscribe(channels.cancel(pool), (cancel) => note({ type: 'cancelled', ...cancel })),
    bus.subscribe(channels.gatewayStatus(pool), hearGateway),
    bus.subscribe(channels.nodeEvents(pool), hearNode),
  ]
  handle({ type: 'tookOver', settleMs })
  const timers = [
    setTimeout(tick, settleMs),
    setInterval(tick, heartbeatTimeoutMs / 10),
    setInterval(announce, announceMs),
    setInterval(report, reportMs),
  ]
  try {
    await bus.flush()
    announce()
    onLeading()
    await aborted(over)
  } finally {
    for (const timer of timers) clearInterval(timer)
    for (const stop of stops) stop()
  }
}

/**
 * What a leader does with each message. It does nothing while it may not act, so that two leaders
 * never act at the same time; what it missed by that, nodes and gateways tell it afterwards.
 */
const createLeader = (mayAct: () => boolean, deps: Deps & { epoch: number }) => {
  const { bus, log, config, epoch, scheduler, metrics, facts, recording } = deps
  const { pool } = config
  const traces = createRequestTraces(deps.tracing)
  const perform = createPerformer({ bus, log, config, epoch, traces, onAnswer: note })
  const lists = createWaitingLists({ bus, log, epoch, onList: note })
  let announcedMs = -Infinity
  let wasAllowed = true

  function handle(bare: Bare<SchedulerEvent>): Command[] {
    const event: SchedulerEvent = { nowMs: Date.now(), ...bare }
    const startMs = performance.now()
    const commands = scheduler.handle(event)
    metrics.observe(event, commands, performance.now() - startMs)
    traces.observe(event, commands)
    recording?.record(event, commands)
    for (const command of commands) perform(command, event)
    return commands
  }

  function note(event: Bare<SchedulerEvent>): void {
    if (mayAct()) handle(event)
  }

  function announce(): void {
    const nowMs = performance.now()
    if (!mayAct() || nowMs - announcedMs < minAnnounceMs) return
    announcedMs = nowMs
    bus.publish(channels.leader(pool), { epoch })
  }

  return {
    handle,
    note,
    takeTask: (task: Task, { traceparent }: Pick<Delivery, 'traceparent'>): SubmitReply => {
      if (!mayAct()) return { type: 'not_leading' }
      traces.submitted(task, traceparent)
      return toReply(task, handle({ type: 'submitted', task }))
    },
    announce,
    report: (): void => {
      if (!mayAct()) return
      const { active, leastLoaded } = scheduler.gpuSeconds()
      bus.publish(channels.poolReports(pool), {
        type: 'router',
        epoch,
        queuedRequests: scheduler.queueLength(),
        gpuSecondsSaved: leastLoaded - active,
      })
    },
    hearGateway: ({ gatewayId, leaving }: GatewayStatus): void => {
      note({ type: 'gatewayReported', gatewayId, leaving })
      if (leaving) lists.left(gatewayId)
      else if (mayAct()) lists.heard(gatewayId)
    },
    hearNode: (message: NodeEvent, { subject }: Pick<Delivery, 'subject'>): void => {
      if (message.type === 'status' && message.status.pool !== pool) {
        deps.refusals.refuse(subject, 'wrong_pool')
        return
      }
      // A node that has not heard of this leader may still take orders of the one before.
      const isStale = message.type === 'status' && (message.status.epoch ?? epoch) !== epoch
      if (isStale) announce()
      else note(toEvent(message, facts.maxBatchSize()))
    },
    tick: (): void => {
      const isAllowed = mayAct()
      if (isAllowed && !wasAllowed) {
        log.info({ pool, epoch }, 'lease renewed after a pause')
        handle({ type: 'resumed' })
        lists.askAgain()
        announce()
      }
      wasAllowed = isAllowed
      note({ type: 'tick' })
    },
  }
}

const toEvent = (message: NodeEvent, maxBatchSize: number | null): Bare<SchedulerEvent> => {
  switch (message.type) {
    case 'status':
      return { type: 'nodeReported', status: withinBatch(message.status, maxBatchSize) }
    case 'leaving':
      return { type: 'nodeLeft', nodeId: message.nodeId }
    case 'ended':
      return message
  }
}

/** A node has no more room than the pool allows it, whatever its own limit. */
const withinBatch = (status: NodeStatus, maxBatchSize: number | null): NodeStatus =>
  maxBatchSize === null || status.maxBatchSize <= maxBatchSize
    ? status
    : { ...status, maxBatchSize }

const aborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
