import type { Bus } from '@punica/bus'
import { type Command, createScheduler, type SchedulerEvent } from '@punica/scheduler'
import {
  channels,
  type PoolCommand,
  type SubmitReply,
  type Task,
  tenantRecords,
  toAppError,
  toWireError,
} from '@punica/schema'
import type { Logger, Metrics } from '@punica/service'
import type { Config } from './config.ts'
import { createRouterMetrics } from './router-metrics.ts'

type Bare<E> = E extends unknown ? Omit<E, 'nowMs'> : never

type Deps = {
  bus: Pick<Bus, 'publish' | 'subscribe' | 'request' | 'serve' | 'records' | 'flush'>
  log: Pick<Logger, 'debug' | 'info' | 'warn'>
  metrics: Pick<Metrics, 'counter' | 'gauge' | 'histogram'>
  config: Omit<Config, 'natsUrl' | 'natsCredentialsFile'>
  ready: (facts: Record<string, unknown>) => void
}

/** Nodes that may refuse one request, for reasons that may pass, before its client is told. */
const maxRefusals = 5

/**
 * Connects the scheduler to the bus: messages become events, commands become messages. All of the
 * policy is in packages/scheduler.
 */
export const routeUntil = async (signal: AbortSignal, deps: Deps): Promise<void> => {
  const { bus, log, config, ready } = deps
  const { pool, heartbeatTimeoutMs } = config
  const scheduler = createScheduler({ ...config, maxRefusals })
  const metrics = createRouterMetrics({ metrics: deps.metrics, scheduler })
  // The clock makes the epoch of a single leader: one that is started later has the newer epoch.
  const epoch = Date.now()
  const perform = createPerformer({ ...deps, epoch, onAnswer })

  function handle(bare: Bare<SchedulerEvent>): Command[] {
    const event: SchedulerEvent = { nowMs: Date.now(), ...bare }
    const startMs = performance.now()
    const commands = scheduler.handle(event)
    metrics.observe(event, commands, performance.now() - startMs)
    for (const command of commands) perform(command, event)
    return commands
  }

  function note(event: Bare<SchedulerEvent>): void {
    handle(event)
  }

  /** Once it stops, the router can no longer tell anybody what follows from an answer. */
  function onAnswer(event: Bare<SchedulerEvent>): void {
    if (!signal.aborted) handle(event)
  }

  // Quotas and weights are known before the first request is taken.
  const tenants = await bus.records(tenantRecords)
  const stops = [
    await tenants.watch(({ key, value }) =>
      note({ type: 'tenantChanged', tenant: key, record: value }),
    ),
    bus.subscribe(channels.admin(pool), (command) => note(toAdminEvent(command))),
    bus.serve(channels.submit(pool), (task) => toReply(task, handle({ type: 'submitted', task }))),
    bus.subscribe(channels.cancel(pool), (cancel) => note({ type: 'cancelled', ...cancel })),
    bus.subscribe(channels.gatewayStatus(pool), ({ gatewayId, leaving }) =>
      note({ type: 'gatewayReported', gatewayId, leaving }),
    ),
    bus.subscribe(channels.nodeEvents(pool), (message) => {
      switch (message.type) {
        case 'status':
          return note({ type: 'nodeReported', status: message.status })
        case 'leaving':
          return note({ type: 'nodeLeft', nodeId: message.nodeId })
        case 'ended':
          return note(message)
      }
    }),
  ]
  const ticks = setInterval(() => note({ type: 'tick' }), heartbeatTimeoutMs / 10)
  try {
    await bus.flush()
    log.info({ pool, epoch }, 'routing started')
    ready({ pool })
    await aborted(signal)
  } finally {
    clearInterval(ticks)
    for (const stop of stops) stop()
  }
  handle({ type: 'stopping' })
  await bus.flush()
}

const toAdminEvent = ({ type, nodeId }: PoolCommand): Bare<SchedulerEvent> => {
  switch (type) {
    case 'cordon':
      return { type: 'nodeCordoned', nodeId }
    case 'drain':
      return { type: 'nodeDrained', nodeId }
    case 'uncordon':
      return { type: 'nodeUncordoned', nodeId }
  }
}

type PerformerDeps = Pick<Deps, 'bus' | 'log' | 'config'> & {
  epoch: number
  /** What came of an assignment. */
  onAnswer: (event: Bare<SchedulerEvent>) => void
}

/** Carries out one command of the scheduler. */
const createPerformer = ({ bus, log, config, epoch, onAnswer }: PerformerDeps) => {
  /** A node that takes longer to answer than to be declared lost is as good as lost. */
  const timeoutMs = config.heartbeatTimeoutMs

  const assign = async (nodeId: string, task: Task): Promise<void> => {
    const assignment = { nodeId, requestId: task.requestId, attempt: task.attempt }
    try {
      const answer = await bus.request(channels.assign(nodeId), { epoch, task }, { timeoutMs })
      if (answer.type === 'accepted') onAnswer({ type: 'assignAccepted', ...assignment })
      else onAnswer({ type: 'assignRefused', error: answer.error, ...assignment })
    } catch (cause) {
      const error = toAppError(cause)
      log.warn({ err: error, ...assignment }, 'assignment not answered')
      // A message that was never sent was not received either.
      if (error.code === 'payload_too_large') {
        onAnswer({ type: 'assignRefused', error: toWireError(error), ...assignment })
      } else onAnswer({ type: 'assignUnanswered', ...assignment })
    }
  }

  return (command: Command, event: SchedulerEvent): void => {
    switch (command.type) {
      case 'assign':
        void assign(command.nodeId, command.task)
        break
      case 'cancel': {
        const { nodeId, ...what } = command
        bus.publish(channels.nodeCommand(nodeId), { ...what, epoch })
        break
      }
      case 'evict': {
        const { type, nodeId, requestId, attempt } = command
        bus.publish(channels.nodeCommand(nodeId), { type, epoch, requestId, attempt })
        break
      }
      case 'interrupt': {
        const { gatewayId, requestId, attempt } = command
        const message = { type: 'interrupted' as const, requestId, attempt }
        bus.publish(channels.gatewayEvents(gatewayId), message)
        break
      }
      case 'reject': {
        if (event.type === 'submitted' && isAbout(command, event.task)) break
        const { gatewayId, requestId, attempt, error } = command
        const message = { type: 'rejected' as const, requestId, attempt, error }
        bus.publish(channels.gatewayEvents(gatewayId), message)
        break
      }
      case 'decide':
        bus.publish(channels.decisions(config.pool), command.decision)
        log.debug(command.decision, 'decided')
        break
    }
  }
}

type Rejection = Extract<Command, { type: 'reject' }>

const isAbout = (rejection: Rejection, task: Task): boolean =>
  rejection.requestId === task.requestId &&
  rejection.attempt === task.attempt &&
  rejection.gatewayId === task.gatewayId

/** A task that is rejected at once has its rejection as the reply; it gets no second message. */
const toReply = (task: Task, commands: readonly Command[]): SubmitReply => {
  for (const command of commands) {
    if (command.type === 'reject' && isAbout(command, task)) {
      return { type: 'refused', error: command.error }
    }
  }
  return { type: 'queued' }
}

const aborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
