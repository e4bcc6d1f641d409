import type { NodeStatus } from '@punica/schema'
import { admitWaiting } from './admit.ts'
import type { InterruptCause } from './events.ts'
import {
  addPlacement,
  createNode,
  type Node,
  type Placement,
  placementKey,
  updateStatus,
} from './ledger.ts'
import { abandon, aboutPlacement, attemptOf, decide, dequeue, forget, type State } from './state.ts'

/** Takes over a node's status and makes it agree with the ledger. */
export const nodeReported = (state: State, status: NodeStatus): void => {
  const before = state.nodes.get(status.nodeId)
  const restarted = before !== undefined && before.status.incarnation !== status.incarnation
  if (restarted) removeNode(state, before, 'node_restarted', 'its node has restarted')
  const known = restarted ? undefined : before
  const node = known ?? createNode(status, state.nowMs)
  state.nodes.set(status.nodeId, node)
  node.seenMs = state.nowMs
  node.suspect = false

  const mentioned = new Set(
    status.requests.map(({ requestId, attempt }) => placementKey(requestId, attempt)),
  )
  for (const placement of node.placements.values()) settle(state, node, placement, mentioned)
  for (const request of status.requests) {
    if (node.placements.has(placementKey(request.requestId, request.attempt))) continue
    if (known === undefined) discover(state, node, request)
    else cancelReported(state, node, request)
  }
  updateStatus(node, status)
  if (status.state === 'failed') {
    interruptAll(
      state,
      node,
      'node_failed',
      `its node failed: ${status.reason ?? 'no reason given'}`,
    )
  }
  admitWaiting(state)
}

export const nodeLeft = (state: State, nodeId: string): void => {
  const node = state.nodes.get(nodeId)
  if (node === undefined) return
  removeNode(state, node, 'node_left', 'its node has left')
  admitWaiting(state)
}

/** Nodes that have said nothing for too long. */
export const loseSilentNodes = (state: State): void => {
  const { heartbeatTimeoutMs } = state.options
  for (const node of state.nodes.values()) {
    const silentMs = state.nowMs - node.seenMs
    if (silentMs <= heartbeatTimeoutMs) continue
    removeNode(state, node, 'node_lost', `its node has been silent for ${silentMs} ms`)
  }
}

/** The one way by which a request leaves its place without its node's word: it is submitted again. */
export const interrupt = (
  state: State,
  placement: Placement,
  cause: InterruptCause,
  reason: string,
): void => {
  const { gatewayId, requestId, attempt } = placement
  decide(state, 'interrupt', reason.slice(0, 256), aboutPlacement(placement))
  if (gatewayId === null) return
  state.commands.push({ type: 'interrupt', gatewayId, requestId, attempt, cause })
}

const removeNode = (state: State, node: Node, cause: InterruptCause, reason: string): void => {
  interruptAll(state, node, cause, reason)
  state.nodes.delete(node.status.nodeId)
}

const interruptAll = (state: State, node: Node, cause: InterruptCause, reason: string): void => {
  for (const placement of node.placements.values()) {
    forget(state, node, placement)
    if (!placement.unwanted) interrupt(state, placement, cause, reason)
  }
}

/**
 * An accepted assignment that the status does not name has ended, and the message that said so was
 * lost: a node publishes its acceptance before any status that could leave it out.
 */
const settle = (
  state: State,
  node: Node,
  placement: Placement,
  mentioned: ReadonlySet<string>,
): void => {
  placement.mentioned = mentioned.has(placementKey(placement.requestId, placement.attempt))
  if (placement.mentioned) {
    placement.waiting = null
    if (placement.unwanted) abandon(state, placement)
  } else if (placement.waiting === null) forget(state, node, placement)
}

type Reported = NodeStatus['requests'][number]

/**
 * What runs on a node that was not known: a scheduler that has just started adopts it, unless it
 * has heard of a newer attempt since. The same attempt in two places can only be left by both.
 */
const discover = (state: State, node: Node, request: Reported): void => {
  const known = state.requests.get(request.requestId)
  if (known === undefined) adopt(state, node, request)
  else if (attemptOf(known) > request.attempt) cancelReported(state, node, request)
  else if (known.type === 'waiting') {
    dequeue(state, known)
    adopt(state, node, request)
  } else {
    interrupt(state, known, 'node_restarted', 'two nodes run the same attempt')
    abandon(state, known)
    cancelReported(state, node, request)
  }
}

const cancelReported = (state: State, node: Node, { requestId, attempt }: Reported): void => {
  state.commands.push({ type: 'cancel', nodeId: node.status.nodeId, requestId, attempt })
}

const adopt = (state: State, node: Node, { requestId, attempt, gatewayId }: Reported): void => {
  const placement: Placement = {
    type: 'placed',
    requestId,
    attempt,
    nodeId: node.status.nodeId,
    gatewayId: gatewayId ?? null,
    tenant: null,
    numKvPages: 0,
    adapter: null,
    waiting: null,
    mentioned: true,
    unwanted: false,
  }
  addPlacement(node, placement)
  state.requests.set(requestId, placement)
  if (gatewayId !== undefined && !state.gateways.has(gatewayId)) {
    state.gateways.set(gatewayId, state.nowMs)
  }
}
