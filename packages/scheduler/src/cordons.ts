import { admitWaiting, serving } from './admit.ts'
import { isEnding, isMovable, orderMove } from './moves.ts'
import { place } from './place.ts'
import { decide, type State } from './state.ts'

/** Cordons that are remembered, of nodes that are there and of such as are not. */
const maxCordons = 4_096

/** The node gets nothing new; what it runs stays. */
export const cordonNode = (state: State, nodeId: string): void => {
  if (!setCordon(state, nodeId, 'cordoned')) return
  decide(state, 'cordon', 'an operator wants nothing new to be placed there', { nodeId })
}

/** It gets nothing new, and what it runs moves to other nodes as these have room. */
export const drainNode = (state: State, nodeId: string): void => {
  if (!setCordon(state, nodeId, 'draining')) return
  decide(state, 'drain', 'an operator wants it to be vacated', { nodeId })
  moveDraining(state)
}

export const uncordonNode = (state: State, nodeId: string): void => {
  if (!state.cordons.delete(nodeId)) return
  state.serving = null
  decide(state, 'uncordon', 'an operator has put it back into use', { nodeId })
  admitWaiting(state)
}

/** Whether it is news. */
const setCordon = (state: State, nodeId: string, cordon: 'cordoned' | 'draining'): boolean => {
  const { cordons } = state
  if (cordons.get(nodeId) === cordon) return false
  if (!cordons.has(nodeId) && cordons.size >= maxCordons) {
    const reason = `${maxCordons} nodes are cordoned already; uncordon those that are gone`
    decide(state, 'refuse', reason, { nodeId })
    return false
  }
  cordons.set(nodeId, cordon)
  state.serving = null
  return true
}

/**
 * Moves what it can off the nodes that are being drained. A request for which no other node has room
 * goes on where it is: its client is better served there than in the queue.
 */
export const moveDraining = (state: State): void => {
  const { ranking } = serving(state)
  for (const [nodeId, cordon] of state.cordons) {
    const node = state.nodes.get(nodeId)
    if (cordon !== 'draining' || node === undefined || node.status.state !== 'ready') continue
    for (const placement of node.placements.values()) {
      if (!isMovable(state, placement) || isEnding(state, placement)) continue
      const demand = { numTokens: placement.numTokens, adapter: placement.adapter }
      const target = place(demand, ranking, state.pace)
      if (target === null) continue
      const reason = `drain: ${nodeId} is vacated, room is kept on ${target.status.nodeId}`
      orderMove(state, placement, target, { demand, cause: 'drain', reason })
    }
  }
}
