import { servingNodes } from './admit.ts'
import type { Node } from './ledger.ts'
import { decide, type State } from './state.ts'

/** How many nodes the pool should have, and why. */
export type ScaleHint = { wanted: number; reason: string }

export type ScaleState = {
  /** The newest that was published. */
  hint: ScaleHint | null
  /** What will be, if it holds for long enough. */
  pending: { direction: 'up' | 'down'; sinceMs: number; hint: ScaleHint } | null
}

/**
 * Publishes what the load asks for once it has asked for it long enough: soon for more nodes, late
 * for fewer, because a node that is missing costs its users and one too many costs its owner.
 */
export const hintScale = (state: State): void => {
  const { scale, options, nowMs } = state
  const nodes = servingNodes(state)
  const hint = withinLimit(wantedNodes(nodes, state.queue.size), state.maxNodes)
  const current = scale.hint?.wanted ?? nodes.length
  if (hint.wanted === current) {
    scale.pending = null
    return
  }
  const direction = hint.wanted > current ? 'up' : 'down'
  if (scale.pending?.direction !== direction) scale.pending = { direction, sinceMs: nowMs, hint }
  // Down to no fewer than were wanted at any time meanwhile.
  const { pending } = scale
  if (direction === 'up' || hint.wanted >= pending.hint.wanted) pending.hint = hint
  const holdMs = direction === 'up' ? options.scaleUpAfterMs : options.scaleDownAfterMs
  if (nowMs - pending.sinceMs < holdMs) return
  scale.hint = pending.hint
  scale.pending = null
  decide(state, 'scale', scale.hint.reason, { wanted: scale.hint.wanted })
}

/**
 * The paper's rule: more nodes when none is lightly loaded, fewer when some have no load. One lightly
 * loaded node stays, or the next arrivals would ask for it again.
 */
const wantedNodes = (nodes: readonly Node[], numWaiting: number): ScaleHint => {
  const numNodes = nodes.length
  const numLight = nodes.filter(isLight).length
  const numIdle = nodes.filter(({ numSequences }) => numSequences === 0).length
  if (numLight === 0) {
    const batch = Math.max(1, ...nodes.map(({ status }) => status.maxBatchSize))
    const numMore = Math.max(1, Math.ceil(numWaiting / batch))
    const reason = `none of ${numNodes} nodes is lightly loaded, and ${numWaiting} requests wait`
    return { wanted: numNodes + numMore, reason }
  }
  const numSpare = numLight > numIdle ? numIdle : numIdle - 1
  return {
    wanted: numNodes - numSpare,
    reason: `${numIdle} of ${numNodes} nodes have no load, and ${numLight} are lightly loaded`,
  }
}

const withinLimit = (hint: ScaleHint, maxNodes: number | null): ScaleHint =>
  maxNodes === null || hint.wanted <= maxNodes
    ? hint
    : { wanted: maxNodes, reason: `${hint.reason}; the pool may have ${maxNodes}` }

/** Half of its batch and half of its pages are free. */
const isLight = ({ numSequences, freePages, status }: Node): boolean =>
  2 * numSequences <= status.maxBatchSize && 2 * freePages >= status.numPages
