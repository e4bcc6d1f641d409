import { randomUUID } from 'node:crypto'
import type { Bus, Delivery } from '@punica/bus'
import type { Engine, StepReport } from '@punica/native-sgmv'
import {
  type AssignReply,
  type AssignRequest,
  channels,
  type LeaderAnnouncement,
  type NodeCommand,
  type ProbeReply,
  type ProbeRequest,
  type ReplayReply,
  type ReplayRequest,
} from '@punica/schema'
import type { Logger, Metrics, Refusals, Tracing } from '@punica/service'
import type { Adapters } from './adapters/adapters.ts'
import type { DiskCache } from './adapters/disk-cache.ts'
import type { Config } from './config.ts'
import { createHardware } from './hardware.ts'
import { checkReady, createEpochCheck, type Health, refuse } from './health.ts'
import { createNodeMetrics } from './node-metrics.ts'
import { createProbes } from './probe/probes.ts'
import { createStepPublisher, type End } from './publish-steps.ts'
import { createRequests } from './requests/requests.ts'
import { createTable } from './requests/table.ts'
import { createCounters, listRequests, measure } from './status.ts'
import { createReporter } from './status-reporter.ts'
import { createTokenOutbox } from './token-outbox.ts'

export type NodeDeps = {
  bus: Pick<Bus, 'publish' | 'subscribe' | 'serve' | 'flush'>
  engine: Engine
  adapters: Adapters
  disk: Pick<DiskCache, 'list'>
  log: Pick<Logger, 'info' | 'warn' | 'error'>
  metrics: Pick<Metrics, 'counter' | 'gauge' | 'histogram'>
  refusals: Pick<Refusals, 'refuse'>
  tracing: Tracing
  config: Pick<Config, 'pool' | 'nodeId' | 'baseModel' | 'maxBatchSize'>
  ready: (facts: Record<string, unknown>) => void
}

const statusIntervalMs = 250
const beatIntervalMs = 1_000
/** Steps that fail in a row before the engine counts as dead. */
const maxFailedSteps = 3
/** How long a stop waits for the engine to let go of its requests. */
const drainMs = 5_000

/**
 * Connects one engine to the bus until told to stop; then its requests go back to their gateways.
 * Rejects when the engine has failed, which the router and the gateways have been told by then.
 */
export const serveNode = async (signal: AbortSignal, deps: NodeDeps): Promise<void> => {
  const { bus, engine, config, log, ready } = deps
  const { nodeId, pool } = config
  const node = createNode(deps)
  engine.onStep(node.onStep)
  const stops = [
    bus.serve(channels.assign(nodeId), node.assign),
    bus.serve(channels.probe(nodeId), node.probe),
    bus.serve(channels.replay(nodeId), node.replay),
    bus.subscribe(channels.nodeCommand(nodeId), node.obey),
    bus.subscribe(channels.leader(pool), node.follow),
  ]
  const beats = setInterval(node.beat, beatIntervalMs)
  try {
    await bus.flush()
    node.report()
    log.info({ nodeId, pool, engine: engine.description }, 'node started')
    ready({ nodeId, pool, description: engine.description })
    await Promise.race([aborted(signal), node.failed])
    if (node.failure() !== null) {
      // Its requests are on their way to other nodes; whoever started the process starts a new one.
      await bus.flush()
      throw new Error(`The engine has failed: ${node.failure()}`)
    }
    await node.drain()
    bus.publish(channels.nodeEvents(pool), { type: 'leaving', nodeId })
    await bus.flush()
  } finally {
    clearInterval(beats)
    node.stop()
    for (const stop of stops) stop()
  }
}

type Parts = ReturnType<typeof assemble>

/** What the node answers to each message, and does at each tick and step. */
const createNode = (deps: NodeDeps) => {
  const { log } = deps
  const parts = assemble(deps, (end) => onEnd(end))
  const { requests, probes, table, outbox, counters, metrics, health } = parts
  const report = (): void => reportStatus(deps, parts, fail)
  const reporter = createReporter(report, statusIntervalMs)
  let idle = (): void => {}
  let onFailed = (): void => {}
  const failed = new Promise<void>((resolve) => {
    onFailed = resolve
  })
  let numFailedSteps = 0
  const isCurrent = createEpochCheck(health, deps)

  function fail(reason: string): void {
    if (health.state === 'failed') return
    health.state = 'failed'
    health.reason = reason.slice(0, 1_024)
    log.error({ reason }, 'engine failed')
    requests.abandonAll()
    report()
    onFailed()
  }

  function onEnd(end: End): void {
    publishEnd(deps, parts, end)
    reporter.soon()
    if (table.size === 0) idle()
  }

  return {
    report,
    assign: ({ epoch, task }: AssignRequest, delivery: Delivery): AssignReply => {
      const reply = isCurrent(epoch, delivery)
        ? (checkReady(health) ?? requests.assign(task, delivery.traceparent))
        : refuse('The assignment is from a router that was replaced')
      metrics.observeReply(reply)
      reporter.soon()
      return reply
    },
    probe: async ({ adapter }: ProbeRequest): Promise<ProbeReply> =>
      checkReady(health) ?? probes.probe(adapter),
    obey: ({ type, epoch, ...attempt }: NodeCommand, delivery: Delivery): void => {
      if (isCurrent(epoch, delivery)) requests.stop(attempt, type)
    },
    /** A new leader learns at once what runs here, and an old one can add nothing to it any more. */
    follow: ({ epoch }: LeaderAnnouncement, delivery: Delivery): void => {
      const isNews = epoch > health.newestEpoch
      if (isCurrent(epoch, delivery) && isNews) report()
    },
    replay: (request: ReplayRequest, { subject }: Delivery): ReplayReply => {
      // Of a process that this one has taken the place of.
      if (request.incarnation !== parts.incarnation) {
        deps.refusals.refuse(subject, 'stale_incarnation')
      }
      return outbox.replay(request)
    },
    beat: (): void => {
      outbox.beat(new Set(table.list().map(({ task }) => task.gatewayId)), Date.now())
    },
    onStep: (step: StepReport): void => {
      counters.observe(step)
      parts.hardware.observe(step)
      metrics.observeStep(step)
      if (step.deviceLost) {
        // The requests have no fault: they end as evicted, and go on elsewhere.
        requests.onStep({ ...step, ends: step.ends.filter(({ reason }) => reason !== 'error') })
        fail(step.error ?? 'the device is lost')
        return
      }
      requests.onStep(step)
      probes.onStep(step)
      if (step.error === null) numFailedSteps = 0
      else {
        log.error({ step: step.step, reason: step.error }, 'step failed')
        if (++numFailedSteps >= maxFailedSteps) fail(step.error)
      }
    },
    drain: async (): Promise<void> => {
      if (health.state === 'ready') health.state = 'draining'
      report()
      requests.evictAll()
      if (table.size > 0) await orTimeout((resolve) => (idle = resolve), drainMs)
      requests.abandonAll()
      health.hasLeft = true
      reporter.stop()
    },
    stop: reporter.stop,
    /** Resolves when the engine has failed; then there is a `failure()`. */
    failed,
    failure: (): string | null => (health.state === 'failed' ? health.reason : null),
  }
}

const assemble = (deps: NodeDeps, onEnd: (end: End) => void) => {
  const { bus, engine, adapters, disk, log, tracing, config } = deps
  const incarnation = randomUUID()
  const table = createTable()
  const outbox = createTokenOutbox({ bus, nodeId: config.nodeId, incarnation })
  const publisher = createStepPublisher({ table, outbox, now: Date.now })
  const metrics = createNodeMetrics(deps.metrics, table)
  const health: Health = { state: 'ready', reason: null, newestEpoch: 0, hasLeft: false }
  // A scheduler never assigns more than the batch holds; twice that leaves room for what it has
  // cancelled and the engine has not let go of yet.
  const maxRequests = 2 * config.maxBatchSize
  const measureNow = () => measure({ stats: engine.stats(), table, adapters, onDisk: disk.list() })
  return {
    incarnation,
    table,
    outbox,
    metrics,
    health,
    counters: createCounters(),
    hardware: createHardware(engine),
    probes: createProbes({ engine, adapters, log }),
    requests: createRequests({
      engine,
      adapters,
      table,
      publisher,
      log,
      tracing,
      maxRequests,
      onEnd,
    }),
    measureNow,
    /** The newest measurement: an engine that has failed gives no more. */
    measured: measureNow(),
  }
}

const reportStatus = (
  { bus, engine, config }: NodeDeps,
  parts: Parts,
  fail: (reason: string) => void,
): void => {
  const { health, incarnation, counters, table } = parts
  // A status after `leaving` would bring the node back.
  if (health.hasLeft) return
  try {
    parts.measured = parts.measureNow()
  } catch (cause) {
    // In a node that has failed before, the last measurement stands. `fail` reports by itself.
    if (health.state !== 'failed') {
      fail(`the engine does not answer: ${String(cause)}`)
      return
    }
  }
  const { pool, nodeId, baseModel, maxBatchSize } = config
  bus.publish(channels.nodeEvents(pool), {
    type: 'status',
    status: {
      nodeId,
      pool,
      incarnation,
      epoch: health.newestEpoch,
      state: health.state,
      ...(health.reason === null ? {} : { reason: health.reason }),
      timeMs: Date.now(),
      baseModel,
      hardware: parts.hardware.facts(parts.measured, table),
      maxBatchSize,
      maxContext: engine.model.maxPositions,
      ...parts.measured,
      requests: listRequests(table),
      counters: counters.values(),
    },
  })
}

const publishEnd = ({ bus, config }: NodeDeps, { metrics }: Parts, end: End): void => {
  const { pool, nodeId } = config
  const { entry, reason, byPressure } = end
  const { requestId, attempt } = entry.task
  const ended = { type: 'ended' as const, nodeId, requestId, attempt, reason, byPressure }
  bus.publish(channels.nodeEvents(pool), ended)
  metrics.observeEnd(end)
}

const aborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })

const orTimeout = (wait: (resolve: () => void) => void, timeoutMs: number): Promise<void> =>
  new Promise((resolve) => {
    const timer = setTimeout(resolve, timeoutMs)
    wait(() => {
      clearTimeout(timer)
      resolve()
    })
  })
