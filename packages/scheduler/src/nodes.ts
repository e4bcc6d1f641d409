import type { NodeStatus } from '@punica/schema'
import { admitWaiting } from './admit.ts'
import type { InterruptCause } from './events.ts'
import {
  adapterSize,
  addPlacement,
  createNode,
  type Node,
  type Placement,
  placementKey,
  type Reported,
  removePlacement,
  takeReported,
  updateStatus,
} from './ledger.ts'
import type { Waiting } from './queue.ts'
import { isWanted, settleExpected } from './recovery.ts'
import {
  abandon,
  aboutPlacement,
  attemptOf,
  decide,
  dequeue,
  forget,
  release,
  type State,
  sendAway,
  settlePlacement,
  track,
} from './state.ts'
import { mostTokens } from './tenants.ts'

/** Takes over a node's status and makes it agree with the ledger. */
export const nodeReported = (state: State, status: NodeStatus): void => {
  const before = state.nodes.get(status.nodeId)
  const restarted = before !== undefined && before.status.incarnation !== status.incarnation
  if (restarted) removeNode(state, before, 'node_restarted', 'its node has restarted')
  const known = restarted ? undefined : before
  const node = known ?? createNode(status, state.nowMs)
  if (known?.status.state !== status.state || known.status.baseModel !== status.baseModel) {
    state.serving = null
  }
  state.nodes.set(status.nodeId, node)
  node.seenMs = state.nowMs
  node.suspect = false

  const strangers = takeReported(node, status)
  for (const placement of node.placements.values()) settle(state, node, placement)
  for (const request of strangers) {
    // It may be named twice.
    if (node.placements.has(placementKey(request.requestId, request.attempt))) continue
    if (known === undefined) discover(state, node, request)
    else cancelReported(state, node, request)
  }
  updateStatus(node, status)
  if (known === undefined) settleExpected(state, node)
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
  decide(state, 'interrupt', reason, aboutPlacement(placement))
  if (gatewayId === null) return
  state.commands.push({ type: 'interrupt', gatewayId, requestId, attempt, cause })
}

const removeNode = (state: State, node: Node, cause: InterruptCause, reason: string): void => {
  interruptAll(state, node, cause, reason)
  state.nodes.delete(node.status.nodeId)
  state.serving = null
}

const interruptAll = (state: State, node: Node, cause: InterruptCause, reason: string): void => {
  for (const placement of node.placements.values()) {
    if (placement.unwanted) forget(state, node, placement)
    else {
      removePlacement(node, placement)
      sendAway(state, placement)
      interrupt(state, placement, cause, reason)
    }
  }
}

/**
 * An accepted assignment that the status does not name has ended, and the message that said so was
 * lost: a node publishes its acceptance before any status that could leave it out.
 */
const settle = (state: State, node: Node, placement: Placement): void => {
  if (placement.mentioned) {
    placement.waiting = null
    if (placement.unwanted) abandon(state, placement)
  } else if (placement.waiting === null) {
    removePlacement(node, placement)
    // Where it was to be evicted, that is what has become of it.
    if (state.moves.has(placement.requestId)) sendAway(state, placement)
    release(state, placement)
    settlePlacement(state, placement)
  }
}

/**
 * What runs on a node that was not known: a scheduler that has just started adopts it, unless it
 * has heard of a newer attempt since. The same attempt in two places can only be left by both.
 */
const discover = (state: State, node: Node, request: Reported): void => {
  const known = state.requests.get(request.requestId)
  if (known === undefined) {
    const { gatewayId } = request
    if (gatewayId !== undefined && !isWanted(state, { ...request, gatewayId })) {
      cancelReported(state, node, request)
    } else adopt(state, node, request, null)
  } else if (attemptOf(known) > request.attempt) cancelReported(state, node, request)
  else if (known.type === 'waiting') {
    dequeue(state, known)
    adopt(state, node, request, known)
  } else {
    if (known.type === 'placed') {
      interrupt(state, known, 'node_restarted', 'two nodes run the same attempt')
      sendAway(state, known)
      abandon(state, known)
    }
    // Of what is away, its gateway has been told to submit the next attempt.
    cancelReported(state, node, request)
  }
}

const cancelReported = (state: State, node: Node, { requestId, attempt }: Reported): void => {
  state.commands.push({ type: 'cancel', nodeId: node.status.nodeId, requestId, attempt })
}

const adopt = (state: State, node: Node, request: Reported, waiting: Waiting | null): void => {
  const { requestId, attempt, gatewayId, tenant, numTokens, maxTokens } = request
  const task = waiting?.task
  const placement: Placement = {
    type: 'placed',
    requestId,
    attempt,
    nodeId: node.status.nodeId,
    gatewayId: gatewayId ?? task?.gatewayId ?? null,
    tenant: tenant ?? task?.tenant ?? null,
    placedMs: state.nowMs,
    numKvPages: 0,
    adapter: findAdapter(node, request.adapterDigest ?? task?.adapter?.digest),
    numTokens: numTokens ?? task?.tokens.length ?? 0,
    maxTokens: maxTokens ?? (task === undefined ? null : mostTokens(task)),
    charge: waiting?.charge ?? null,
    waiting: null,
    mentioned: true,
    unwanted: false,
    evictMs: null,
    adopted: true,
  }
  addPlacement(node, placement)
  track(state, placement)
  if (gatewayId !== undefined && !state.gateways.has(gatewayId)) {
    state.gateways.set(gatewayId, state.nowMs)
  }
}

/** Its pages are in the status that names it. */
const findAdapter = (node: Node, digest: string | undefined): Placement['adapter'] => {
  if (digest === undefined) return null
  return { digest, numPages: 0, sizeBytes: adapterSize(node, digest) ?? 0 }
}
