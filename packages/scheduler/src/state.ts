import type { Decision, WireError } from '@punica/schema'
import type { Command } from './events.ts'
import { type Node, type Placement, removePlacement } from './ledger.ts'
import { type Policy, type SchedulerOptions, withDefaults } from './options.ts'
import type { Pace } from './place.ts'
import { createWaitQueue, type Waiting, type WaitQueue } from './queue.ts'
import type { Ranking } from './ranking.ts'
import type { Recovery } from './recovery.ts'
import { createSavings, type Savings } from './savings.ts'
import type { ScaleState } from './scale.ts'
import { type Charge, createTenants, type Tenants } from './tenants.ts'

/** A request that has left its node; its gateway is about to submit the next attempt. */
export type Away = {
  readonly type: 'away'
  readonly requestId: string
  readonly attempt: number
  readonly gatewayId: string
  readonly tenant: string | null
  charge: Charge | null
  readonly untilMs: number
}

/** A request that somebody waits for, wherever it is. */
export type Tracked = Waiting | Placement | Away

/** A request on its way from one node to the room that is kept for it on another. */
type Move = {
  readonly attempt: number
  readonly sourceId: string
  readonly targetId: string
  readonly untilMs: number
}

/** The nodes that may be given work, and their order. */
export type Serving = { readonly nodes: readonly Node[]; readonly ranking: Ranking }

export type State = {
  readonly options: Policy
  pace: Pace
  /** More nodes than that are not asked for; null: any number is. */
  maxNodes: number | null
  readonly nodes: Map<string, Node>
  /** Nodes that an operator has taken out of use, whether they are there or not. */
  readonly cordons: Map<string, 'cordoned' | 'draining'>
  /** The nodes that may be given work; null: to be worked out again. */
  serving: Serving | null
  /** When each gateway was last heard. */
  readonly gateways: Map<string, number>
  readonly tenants: Tenants
  readonly queue: WaitQueue
  /** The newest attempt of every request that somebody waits for. */
  readonly requests: Map<string, Tracked>
  /** Those of `requests` that are between two nodes, oldest first. */
  readonly away: Set<Away>
  /** By request id, oldest first. */
  readonly moves: Map<string, Move>
  readonly recovery: Recovery
  readonly savings: Savings
  scale: ScaleState
  /** Mean time between two ends of requests, from which the hint to retry is worked out. */
  endIntervalMs: number
  lastEndMs: number | null
  lastTickMs: number | null
  lastConsolidationMs: number | null
  numDecisions: number
  /** Of the event being handled. */
  nowMs: number
  commands: Command[]
}

export const createState = (options: SchedulerOptions): State => {
  const tenants = createTenants()
  const policy = withDefaults(options)
  return {
    options: policy,
    pace: { packMs: policy.packInterTokenMs, maxMs: policy.targetInterTokenMs },
    maxNodes: null,
    nodes: new Map(),
    cordons: new Map(),
    serving: null,
    gateways: new Map(),
    tenants,
    queue: createWaitQueue(tenants.weightOf),
    requests: new Map(),
    away: new Set(),
    moves: new Map(),
    recovery: { settlingUntilMs: 0, expected: new Map(), wanted: new Map() },
    savings: createSavings(),
    scale: { hint: null, pending: null },
    endIntervalMs: 100,
    lastEndMs: null,
    lastTickMs: null,
    lastConsolidationMs: null,
    numDecisions: 0,
    nowMs: 0,
    commands: [],
  }
}

type About = Pick<Decision, 'requestId' | 'tenant' | 'nodeId' | 'wanted'>

export const decide = (
  state: State,
  kind: Decision['kind'],
  reason: string,
  about: About = {},
): void => {
  const seq = state.numDecisions++
  const { pool } = state.options
  const decision = { seq, timeMs: state.nowMs, pool, kind, ...about, reason: reason.slice(0, 256) }
  state.commands.push({ type: 'decide', decision })
}

/** It has just taken over, and only listens. */
export const isSettling = (state: State): boolean => state.nowMs < state.recovery.settlingUntilMs

export const attemptOf = (request: Tracked): number =>
  request.type === 'waiting' ? request.task.attempt : request.attempt

export const gatewayOf = (request: Tracked): string | null =>
  request.type === 'waiting' ? request.task.gatewayId : request.gatewayId

const tenantOf = (request: Tracked): string | null =>
  request.type === 'waiting' ? request.task.tenant : request.tenant

const requestIdOf = (request: Tracked): string =>
  request.type === 'waiting' ? request.task.requestId : request.requestId

export const aboutPlacement = ({ requestId, tenant, nodeId }: Placement): About => ({
  requestId,
  nodeId,
  ...(tenant === null ? {} : { tenant }),
})

/** From now on this is where the request is; its tenant's requests are counted here. */
export const track = (state: State, request: Tracked): void => {
  untrack(state, requestIdOf(request))
  state.requests.set(requestIdOf(request), request)
  if (request.type === 'away') state.away.add(request)
  if (request.type === 'placed') state.savings.began(request.requestId, state.nodes.size)
  const tenant = tenantOf(request)
  if (tenant !== null) state.tenants.countRequests(tenant, 1)
}

const untrack = (state: State, requestId: string): void => {
  const request = state.requests.get(requestId)
  if (request === undefined) return
  state.requests.delete(requestId)
  if (request.type === 'away') state.away.delete(request)
  const tenant = tenantOf(request)
  if (tenant !== null) state.tenants.countRequests(tenant, -1)
}

export const enqueue = (state: State, waiting: Waiting): void => {
  state.queue.add(waiting)
  track(state, waiting)
}

/** Takes a waiting request out of the scheduler's sight. */
export const dequeue = (state: State, waiting: Waiting): void => {
  state.queue.remove(waiting)
  untrack(state, waiting.task.requestId)
  state.savings.ended(waiting.task.requestId)
}

/** Nobody waits for the request any more, if this is where it was. */
export const release = (state: State, request: Placement | Away): void => {
  if (state.requests.get(request.requestId) !== request) return
  untrack(state, request.requestId)
  state.savings.ended(request.requestId)
}

/** Forgets a placement, and the request too if this was its newest attempt. */
export const forget = (state: State, node: Node, placement: Placement): void => {
  removePlacement(node, placement)
  release(state, placement)
}

/**
 * The request of a placement goes on elsewhere: until its gateway submits it again, which is soon or
 * never, it counts among its tenant's.
 */
export const sendAway = (state: State, placement: Placement): void => {
  const { requestId, attempt, gatewayId, tenant, charge } = placement
  if (state.requests.get(requestId) !== placement) return
  if (gatewayId === null) {
    release(state, placement)
    return
  }
  placement.charge = null
  const untilMs = state.nowMs + state.options.heartbeatTimeoutMs
  track(state, { type: 'away', requestId, attempt, gatewayId, tenant, charge, untilMs })
}

/** Nobody waits for it any more; it takes room until its node says that it has ended. */
export const abandon = (state: State, placement: Placement): void => {
  placement.unwanted = true
  release(state, placement)
  const { nodeId, requestId, attempt } = placement
  state.commands.push({ type: 'cancel', nodeId, requestId, attempt })
}

/**
 * Gives back what a request that is over did not use of its tenant's quota and turns. A request that
 * never got to a node has used nothing.
 */
const settle = (
  state: State,
  { tenant, charge }: { tenant: string | null; charge: Charge | null },
  numUsed: number,
): void => {
  if (tenant === null || charge === null) return
  const numUnused = Math.max(0, charge.numTokens - numUsed)
  state.tenants.refund(tenant, charge, numUnused, state.nowMs)
  if (charge.isTaken) state.queue.refund(tenant, numUnused)
}

/** As `settle`, once, for a request that is on a node. */
export const settlePlacement = (state: State, placement: Placement): void => {
  settle(state, placement, placement.numTokens)
  placement.charge = null
}

export const settleWaiting = (state: State, { task, charge }: Waiting): void =>
  settle(state, { tenant: task.tenant, charge }, task.attempt === 0 ? 0 : task.tokens.length)

/** Takes a waiting request out and tells its gateway why. */
export const reject = (state: State, waiting: Waiting, error: WireError): void => {
  dequeue(state, waiting)
  settleWaiting(state, waiting)
  const { gatewayId, requestId, attempt, tenant } = waiting.task
  state.commands.push({ type: 'reject', gatewayId, requestId, attempt, error })
  decide(state, 'refuse', error.message, { requestId, tenant })
}
