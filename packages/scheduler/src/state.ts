import type { Decision, WireError } from '@punica/schema'
import type { Command } from './events.ts'
import { type Node, type Placement, removePlacement } from './ledger.ts'
import { createWaitQueue, type Waiting, type WaitQueue } from './queue.ts'

export type SchedulerOptions = {
  pool: string
  /** Nodes with another base model get nothing; null: what the first node of the pool serves. */
  baseModel: string | null
  /** Requests that may wait; those that have begun and had to leave a node are not counted in. */
  maxQueue: number
  /** A node or gateway that has said nothing for this long is lost. */
  heartbeatTimeoutMs: number
  /** Nodes that may refuse one request, for reasons that may pass, before it is rejected. */
  maxRefusals: number
}

export type State = {
  readonly options: SchedulerOptions
  readonly nodes: Map<string, Node>
  /** When each gateway was last heard. */
  readonly gateways: Map<string, number>
  readonly queue: WaitQueue
  /** The newest attempt of every request that somebody waits for: in the queue or on a node. */
  readonly requests: Map<string, Waiting | Placement>
  /** Mean time between two ends of requests, from which the hint to retry is worked out. */
  endIntervalMs: number
  lastEndMs: number | null
  lastTickMs: number | null
  numDecisions: number
  /** Of the event being handled. */
  nowMs: number
  commands: Command[]
}

export const createState = (options: SchedulerOptions): State => ({
  options,
  nodes: new Map(),
  gateways: new Map(),
  queue: createWaitQueue(),
  requests: new Map(),
  endIntervalMs: 100,
  lastEndMs: null,
  lastTickMs: null,
  numDecisions: 0,
  nowMs: 0,
  commands: [],
})

type About = Pick<Decision, 'requestId' | 'tenant' | 'nodeId'>

export const decide = (
  state: State,
  kind: Decision['kind'],
  reason: string,
  about: About = {},
): void => {
  const seq = state.numDecisions++
  const { pool } = state.options
  const decision = { seq, timeMs: state.nowMs, pool, kind, ...about, reason }
  state.commands.push({ type: 'decide', decision })
}

export const attemptOf = (request: Waiting | Placement): number =>
  request.type === 'waiting' ? request.task.attempt : request.attempt

export const gatewayOf = (request: Waiting | Placement): string | null =>
  request.type === 'waiting' ? request.task.gatewayId : request.gatewayId

export const aboutPlacement = ({ requestId, tenant, nodeId }: Placement): About => ({
  requestId,
  nodeId,
  ...(tenant === null ? {} : { tenant }),
})

export const enqueue = (state: State, waiting: Waiting): void => {
  state.queue.add(waiting)
  state.requests.set(waiting.task.requestId, waiting)
}

export const dequeue = (state: State, waiting: Waiting): void => {
  state.queue.remove(waiting)
  state.requests.delete(waiting.task.requestId)
}

/** Forgets a placement, and the request too if this was its newest attempt. */
export const forget = (state: State, node: Node, placement: Placement): void => {
  removePlacement(node, placement)
  if (state.requests.get(placement.requestId) === placement) {
    state.requests.delete(placement.requestId)
  }
}

/** Nobody waits for it any more; it takes room until its node says that it has ended. */
export const abandon = (state: State, placement: Placement): void => {
  placement.unwanted = true
  if (state.requests.get(placement.requestId) === placement) {
    state.requests.delete(placement.requestId)
  }
  const { nodeId, requestId, attempt } = placement
  state.commands.push({ type: 'cancel', nodeId, requestId, attempt })
}

/** Takes a waiting request out and tells its gateway why. */
export const reject = (state: State, waiting: Waiting, error: WireError): void => {
  dequeue(state, waiting)
  const { gatewayId, requestId, attempt, tenant } = waiting.task
  state.commands.push({ type: 'reject', gatewayId, requestId, attempt, error })
  decide(state, 'refuse', error.message.slice(0, 256), { requestId, tenant })
}
