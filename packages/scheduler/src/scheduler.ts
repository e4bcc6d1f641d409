import type { NodeState } from '@punica/schema'
import { admitWaiting } from './admit.ts'
import { consolidateInTime } from './consolidate.ts'
import { cordonNode, drainNode, moveDraining, uncordonNode } from './cordons.ts'
import type { Command, PoolLimits, SchedulerEvent } from './events.ts'
import { gatewayReported, loseSilentGateways } from './gateways.ts'
import { expireMoves } from './moves.ts'
import { loseSilentNodes, nodeLeft, nodeReported } from './nodes.ts'
import type { SchedulerOptions } from './options.ts'
import { expireRecovery, forgiveSilence, gatewayWaits, tookOver } from './recovery.ts'
import {
  assignAccepted,
  assignRefused,
  assignUnanswered,
  cancelled,
  ended,
  rejectOverdue,
  submitted,
} from './requests.ts'
import type { GpuSeconds } from './savings.ts'
import { hintScale, type ScaleHint } from './scale.ts'
import { createState, isSettling, type State } from './state.ts'

type AttemptId = { requestId: string; attempt: number }

/** What the scheduler believes, as plain values. */
export type SchedulerSnapshot = {
  /** In the order in which they will be served. */
  queue: AttemptId[]
  nodes: {
    nodeId: string
    state: NodeState
    maxBatchSize: number
    /** As ledgered: the newest status less what was assigned since. */
    freePages: number
    cordon: 'cordoned' | 'draining' | null
    /** Requests that room is kept for. */
    reserved: string[]
    /** Every attempt that takes room there; the unwanted ones have been told to stop. */
    requests: (AttemptId & { unwanted: boolean })[]
  }[]
  gateways: string[]
}

export type Scheduler = {
  handle(event: SchedulerEvent): Command[]
  snapshot(): SchedulerSnapshot
  /** How many requests wait; cheap enough for every scrape. */
  queueLength(): number
  /** The same by tenant, of those that have any. */
  queueLengths(): Map<string, number>
  /** What placing costs and saves; cheap enough for every scrape. */
  gpuSeconds(): GpuSeconds
  /** The newest that was decided; null: none yet. */
  scaleHint(): ScaleHint | null
}

/**
 * The whole scheduling policy as a state machine: an event goes in, commands come out. It never
 * does I/O and never reads a clock, so a list of events is a complete test, and a recorded list is
 * a complete bug report. The rules are Punica's (section 5.1): busiest node first, first come first
 * served, and every move is a cancel and a new submission of prompt and tokens so far. What goes
 * beyond them has a file each: consolidate, cost, turns (fairness), tenants (quotas), scale, cordons.
 */
export const createScheduler = (options: SchedulerOptions): Scheduler => {
  const state = createState(options)
  return {
    handle: (event) => {
      state.nowMs = event.nowMs
      state.commands = []
      apply(state, event)
      return state.commands
    },
    snapshot: () => snapshot(state),
    queueLength: () => state.queue.size,
    queueLengths: () => state.queue.sizes(),
    gpuSeconds: state.savings.seconds,
    scaleHint: () => state.scale.hint,
  }
}

const apply = (state: State, event: SchedulerEvent): void => {
  switch (event.type) {
    case 'submitted':
      submitted(state, event)
      break
    case 'cancelled':
      cancelled(state, event)
      break
    case 'assignAccepted':
      assignAccepted(state, event)
      break
    case 'assignRefused':
      assignRefused(state, event)
      break
    case 'assignUnanswered':
      assignUnanswered(state, event)
      break
    case 'ended':
      ended(state, event)
      break
    case 'nodeReported':
      nodeReported(state, event.status)
      break
    case 'nodeLeft':
      nodeLeft(state, event.nodeId)
      break
    case 'gatewayReported':
      gatewayReported(state, event)
      break
    case 'tenantChanged':
      state.tenants.setRecord(event.tenant, event.record)
      break
    case 'poolChanged':
      limitPool(state, event.limits)
      break
    case 'nodeCordoned':
      cordonNode(state, event.nodeId)
      break
    case 'nodeDrained':
      drainNode(state, event.nodeId)
      break
    case 'nodeUncordoned':
      uncordonNode(state, event.nodeId)
      break
    case 'tick':
      tick(state)
      break
    case 'tookOver':
      tookOver(state, event)
      break
    case 'gatewayWaits':
      gatewayWaits(state, event)
      break
    case 'resumed':
      forgiveSilence(state)
      break
  }
}

/** Requests that wait may have room by the new pace. */
const limitPool = (state: State, { maxNodes, interTokenTargetMs }: PoolLimits): void => {
  state.maxNodes = maxNodes
  state.pace = { ...state.pace, maxMs: interTokenTargetMs ?? state.options.targetInterTokenMs }
  admitWaiting(state)
}

const tick = (state: State): void => {
  const sinceTickMs = state.nowMs - (state.lastTickMs ?? state.nowMs)
  state.lastTickMs = state.nowMs
  // After a pause of our own, everybody seems silent: what they said has not been read yet.
  if (sinceTickMs > state.options.heartbeatTimeoutMs) forgiveSilence(state)
  loseSilentNodes(state)
  loseSilentGateways(state)
  rejectOverdue(state)
  expireMoves(state)
  expireRecovery(state)
  if (isSettling(state)) return
  admitWaiting(state)
  moveDraining(state)
  consolidateInTime(state)
  hintScale(state)
  state.savings.advance(state.nowMs, countActive(state))
  state.tenants.prune(state.nowMs)
}

const countActive = ({ nodes }: State): number => {
  let numActive = 0
  for (const { placements } of nodes.values()) if (placements.size > 0) numActive++
  return numActive
}

const snapshot = (state: State): SchedulerSnapshot => ({
  queue: state.queue.list().map(({ task: { requestId, attempt } }) => ({ requestId, attempt })),
  nodes: [...state.nodes.values()].map(({ status, freePages, placements, reservations }) => ({
    nodeId: status.nodeId,
    state: status.state,
    maxBatchSize: status.maxBatchSize,
    freePages,
    cordon: state.cordons.get(status.nodeId) ?? null,
    reserved: [...reservations.keys()],
    requests: [...placements.values()].map(({ requestId, attempt, unwanted }) => ({
      requestId,
      attempt,
      unwanted,
    })),
  })),
  gateways: [...state.gateways.keys()],
})
