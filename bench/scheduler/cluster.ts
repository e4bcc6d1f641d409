import type { Command, SchedulerEvent } from '@punica/scheduler'
import type { EngineOptions } from './engine.ts'
import { createEventQueue } from './event-queue.ts'
import { createGateways, type Message } from './gateway.ts'
import { createMetrics, type MetricsSummary, summarize, type Totals } from './metrics.ts'
import { createSimulatedNode, type NodeListener, type SimulatedNode } from './node.ts'
import type { Trace } from './trace.ts'

/** What decides: the scheduler, or a baseline in its place. */
export type Router = { handle(event: SchedulerEvent): Command[] }

export type ClusterOptions = {
  readonly numNodes: number
  readonly numGateways: number
  readonly engine: EngineOptions
  /** Of every message between two processes. */
  readonly latencyMs: number
  readonly statusIntervalMs: number
  readonly tickIntervalMs: number
  /** Points of the time series. */
  readonly numSamples: number
}

/** The cluster at one moment. */
export type Sample = {
  timeMs: number
  numActive: number
  lowerBound: number
  numInSystem: number
  numArrived: number
  /** Requests of each node; empty for a large cluster. */
  workingSets: number[]
}

export type Outcome = MetricsSummary & {
  totals: Totals
  endMs: number
  maxActive: number
  numRequests: number
  numDone: number
  numRefused: number
  /** Resubmissions: evicted for want of pages, and moved on purpose. */
  numEvicted: number
  numMoved: number
  numRefilledTokens: number
  numEvents: number
  samples: Sample[]
}

/** Sees every event and what came of it, for a recorded log or a check. */
export type Observer = {
  onDecision?: (event: SchedulerEvent, commands: readonly Command[]) => void
  onDone?: (requestId: string, numTokens: number) => void
  onSample?: (nodes: readonly SimulatedNode[]) => void
}

/** The most nodes whose working sets a sample lists one by one. */
const maxListedNodes = 64

/** Runs a trace against a router until the last request is done. Nothing in it depends on the host. */
export const simulate = (
  trace: Trace,
  router: Router,
  options: ClusterOptions,
  observer: Observer = {},
): Outcome => {
  const queue = createEventQueue()
  const metrics = createMetrics(options.numNodes, options.engine.maxBatchSize)
  const samples: Sample[] = []
  let maxActive = 0
  const ends = { done: 0, refused: 0, evicted: 0, moved: 0 }
  let hasMoreArrivals = true

  const later = (run: () => void): void => queue.at(queue.nowMs + options.latencyMs, run)

  // ---- the router ----

  const handle = (message: Message): void => {
    const event: SchedulerEvent = { nowMs: Math.floor(queue.nowMs), ...message }
    const commands = router.handle(event)
    observer.onDecision?.(event, commands)
    for (const command of commands) perform(command)
  }

  const perform = (command: Command): void => {
    switch (command.type) {
      case 'assign':
        later(() => assign(command))
        break
      case 'cancel':
        later(() => nodes.get(command.nodeId)?.stop(command, 'cancelled'))
        break
      case 'evict':
        later(() => nodes.get(command.nodeId)?.stop(command, 'evicted'))
        break
      case 'interrupt':
        later(() => gateways.interrupted(command.requestId, command.attempt))
        break
      case 'reject':
        later(() => gateways.rejected(command.requestId, command.attempt))
        break
    }
  }

  const assign = ({ nodeId, task }: Extract<Command, { type: 'assign' }>): void => {
    const { requestId, attempt } = task
    const client = gateways.clients.get(requestId)
    if (client === undefined) return
    nodes.get(nodeId)?.assign(task, client)
    later(() => handle({ type: 'assignAccepted', nodeId, requestId, attempt }))
  }

  // ---- gateways and their clients ----

  const gateways = createGateways(options.numGateways, {
    nowMs: () => queue.nowMs,
    send: (message) => later(() => handle(message)),
    onDone: ({ requestId, numReceived }) => {
      ends.done++
      observer.onDone?.(requestId, numReceived)
      leaveSystem()
    },
    onRefused: () => {
      ends.refused++
      leaveSystem()
    },
  })

  const leaveSystem = (): void => {
    metrics.setInSystem(gateways.clients.size, queue.nowMs)
    if (gateways.clients.size === 0 && !hasMoreArrivals) queue.stop()
  }

  const arrivals = trace.arrivals()[Symbol.iterator]()
  const nextArrival = (): void => {
    const { done, value } = arrivals.next()
    if (done === true) {
      hasMoreArrivals = false
      if (gateways.clients.size === 0) queue.stop()
    } else {
      queue.at(value.timeMs, () => {
        gateways.arrive(value)
        metrics.setInSystem(gateways.clients.size, queue.nowMs)
        nextArrival()
      })
    }
  }

  // ---- nodes ----

  const listener: NodeListener = {
    onFirstToken: ({ client }) =>
      metrics.ttft.add(queue.nowMs + options.latencyMs - client.arrivalMs),
    onTokenGaps: metrics.itl.add,
    onEnd: (nodeId, end) => {
      const { task, reason, byPressure } = end
      const { requestId, attempt } = task
      if (reason === 'evicted') ends[byPressure ? 'evicted' : 'moved']++
      later(() => gateways.ended(end))
      later(() => handle({ type: 'ended', nodeId, requestId, attempt, reason, byPressure }))
    },
    onStatus: (status) => later(() => handle({ type: 'nodeReported', status })),
    onWorkingSet: ({ nodeId, numRequests }, before) => {
      if ((before === 0) !== (numRequests === 0)) {
        metrics.setActive(nodeId, numRequests > 0, queue.nowMs)
        maxActive = Math.max(maxActive, metrics.numActive)
      }
    },
  }
  const nodes = new Map<string, SimulatedNode>()
  for (let i = 0; i < options.numNodes; i++) {
    const nodeId = `n${String(i).padStart(5, '0')}`
    nodes.set(nodeId, createSimulatedNode(nodeId, { queue, options: options.engine, listener }))
  }

  // ---- what happens by the clock ----

  const every = (intervalMs: number, firstMs: number, run: () => void): void => {
    const repeat = (): void => {
      run()
      queue.at(queue.nowMs + intervalMs, repeat)
    }
    queue.at(firstMs, repeat)
  }

  const sample = (): void => {
    const list = [...nodes.values()]
    observer.onSample?.(list)
    samples.push({
      timeMs: queue.nowMs,
      numActive: metrics.numActive,
      lowerBound: metrics.lowerBound,
      numInSystem: metrics.numInSystem,
      numArrived: gateways.numArrived,
      workingSets: list.length > maxListedNodes ? [] : list.map((node) => node.numRequests),
    })
  }

  let nodeIndex = 0
  for (const node of nodes.values()) {
    const offsetMs = (options.statusIntervalMs * nodeIndex++) / options.numNodes
    queue.at(0, () => listener.onStatus(node.status()))
    every(options.statusIntervalMs, offsetMs, () => listener.onStatus(node.status()))
  }
  every(1_000, 0, gateways.reportAll)
  every(options.tickIntervalMs, options.tickIntervalMs, () => handle({ type: 'tick' }))
  every(trace.durationMs / options.numSamples, 0, sample)
  nextArrival()
  queue.run()

  const totals = metrics.totals(queue.nowMs)
  return {
    ...summarize(totals, queue.nowMs),
    totals,
    endMs: queue.nowMs,
    maxActive,
    numRequests: gateways.numArrived,
    numDone: ends.done,
    numRefused: ends.refused,
    numEvicted: ends.evicted,
    numMoved: ends.moved,
    numRefilledTokens: gateways.numRefilledTokens,
    numEvents: queue.numRun,
    samples,
  }
}
