import type { MoveCause } from './events.ts'
import {
  addReservation,
  type Demand,
  type Node,
  type Placement,
  removeReservation,
} from './ledger.ts'
import { aboutPlacement, decide, release, type State } from './state.ts'

/**
 * Tells a node to let go of a request, and keeps the room for it on another. Its gateway submits it
 * again as soon as the node has evicted it, and it lands there.
 */
export const orderMove = (
  state: State,
  placement: Placement,
  target: Node,
  { demand, cause, reason }: { demand: Demand; cause: MoveCause; reason: string },
): void => {
  const { requestId, attempt, nodeId } = placement
  const untilMs = state.nowMs + state.options.heartbeatTimeoutMs
  addReservation(target, requestId, demand)
  state.moves.set(requestId, {
    attempt,
    sourceId: nodeId,
    targetId: target.status.nodeId,
    untilMs,
  })
  placement.evictMs = state.nowMs
  state.commands.push({ type: 'evict', nodeId, requestId, attempt, cause })
  decide(state, 'evict', reason, aboutPlacement(placement))
}

/** Gives up the room that is kept for a request; returns the node that had it. */
export const dropMove = (state: State, requestId: string): Node | null => {
  const move = state.moves.get(requestId)
  if (move === undefined) return null
  state.moves.delete(requestId)
  const target = state.nodes.get(move.targetId)
  if (target === undefined || !target.reservations.has(requestId)) return null
  removeReservation(target, requestId)
  return target
}

/** What did not come back in time is not waited for. */
export const expireMoves = (state: State): void => {
  for (const [requestId, { untilMs }] of state.moves) {
    if (untilMs > state.nowMs) break
    dropMove(state, requestId)
  }
  for (const away of state.away) {
    if (away.untilMs > state.nowMs) break
    release(state, away)
  }
}

/** Whether its node may be told to let go of it now. */
export const isMovable = (state: State, placement: Placement): boolean =>
  placement.gatewayId !== null &&
  placement.waiting === null &&
  !placement.unwanted &&
  !state.moves.has(placement.requestId) &&
  state.nowMs - lastMoveMs(placement) >= state.options.minMoveIntervalMs

/** It came here by a move if it is not its first attempt. */
const lastMoveMs = ({ attempt, placedMs, evictMs }: Placement): number =>
  Math.max(attempt === 0 ? -Infinity : placedMs, evictMs ?? -Infinity)

/** Tokens that it may make yet; null: unknown. */
export const remainingTokens = ({ numTokens, maxTokens }: Placement): number | null =>
  maxTokens === null ? null : Math.max(0, maxTokens - numTokens)

/** By the time that it had moved, it would have ended. */
export const isEnding = (state: State, placement: Placement): boolean =>
  (remainingTokens(placement) ?? Infinity) < state.options.minRemainingTokens
