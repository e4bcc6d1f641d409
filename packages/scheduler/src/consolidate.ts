import { servingNodes } from './admit.ts'
import {
  addReservation,
  type Demand,
  type Node,
  type Placement,
  pagesFor,
  removeReservation,
} from './ledger.ts'
import { isEnding, isMovable, orderMove, remainingTokens } from './moves.ts'
import { hasRoom, isBusier } from './place.ts'
import type { State } from './state.ts'

/** A decode step costs about as much as the prefill of so many tokens. */
const prefillTokensPerStep = 256

/** Room for so many tokens more is left to every request, so that none is evicted again for pages. */
const growthTokens = 64

/** Of so many active nodes one may be vacated in an interval. */
const activeNodesPerSource = 8

/** Nodes looked at in a pass, from the lightest. */
const maxTries = 16

/** Of the vacated node's batch, this part stays free elsewhere: else the next arrivals would wake it. */
const spareFraction = 1 / 8

type Step = { placement: Placement; target: Node; demand: Demand }

/**
 * Runs the pass when it is due: more often where more nodes are active, since each pass vacates one,
 * so that neither their prefills nor the work of deciding come in waves.
 */
export const consolidateInTime = (state: State): void => {
  const { consolidationIntervalMs } = state.options
  if (consolidationIntervalMs === null) return
  const active = servingNodes(state).filter(
    ({ numSequences, suspect }) => numSequences > 0 && !suspect,
  )
  const numSources = Math.ceil(active.length / activeNodesPerSource)
  const sinceMs = state.nowMs - (state.lastConsolidationMs ?? -Infinity)
  if (numSources === 0 || sinceMs < consolidationIntervalMs / numSources) return
  state.lastConsolidationMs = state.nowMs
  // Whoever waits needs more room than there is.
  if (state.queue.size === 0) consolidate(state, active)
}

/**
 * Vacates the lightest node whose whole working set fits into heavier ones, so that the fewest are
 * active (the paper names such a pass and gives no rule). A node is left alone where one of its
 * requests may not move now, or where recomputing the contexts costs more than the node would run
 * for; requests that are about to end stay and end.
 */
const consolidate = (state: State, active: readonly Node[]): void => {
  const lightestFirst = active.toSorted((a, b) => (isBusier(a, b) ? 1 : -1))
  const beingLeft = new Set([...state.moves.values()].map(({ sourceId }) => sourceId))
  for (const [i, source] of lightestFirst.slice(0, maxTries).entries()) {
    const movers = moversOf(state, source)
    if (movers === null || !isWorthwhile(movers)) continue
    const heavier = lightestFirst.slice(i + 1).filter(({ status }) => !beingLeft.has(status.nodeId))
    if (vacate(state, source, { movers, heavier })) return
  }
}

/** Whether it could be done. */
const vacate = (
  state: State,
  source: Node,
  { movers, heavier }: { movers: readonly Placement[]; heavier: readonly Node[] },
): boolean => {
  const { packMs, maxMs } = state.pace
  if (!leavesSpareRoom(source, heavier, movers.length)) return false
  const steps = reserve(movers, heavier, packMs ?? maxMs)
  const isDone = steps.length === movers.length
  for (const { placement, target, demand } of steps) {
    // What was tried is undone; what is done is reserved once more, as part of the move.
    removeReservation(target, placement.requestId)
    if (!isDone) continue
    const { nodeId } = source.status
    const reason =
      `consolidation: ${nodeId} with ${source.numSequences} sequences is vacated, room is kept on` +
      ` ${target.status.nodeId}, ${placement.numTokens} tokens to recompute`
    orderMove(state, placement, target, { demand, cause: 'consolidation', reason })
  }
  return isDone
}

/** Requests that have to move for the node to become free; null: one of them may not, or none has to. */
const moversOf = (state: State, source: Node): Placement[] | null => {
  if (source.reservations.size > 0) return null
  const movers = [...source.placements.values()].filter(
    (placement) => !placement.unwanted && !isEnding(state, placement),
  )
  const mayMove = movers.every(
    (placement) => placement.maxTokens !== null && isMovable(state, placement),
  )
  return mayMove && movers.length > 0 ? movers : null
}

/**
 * The node would go on until the last of its requests ends; how many steps that is, is known only as
 * an upper bound, so half of it is counted.
 */
const isWorthwhile = (movers: readonly Placement[]): boolean => {
  const numSteps = Math.max(...movers.map((placement) => remainingTokens(placement) ?? 0)) / 2
  const numTokens = movers.reduce((sum, placement) => sum + placement.numTokens, 0)
  return numTokens <= numSteps * prefillTokensPerStep
}

/** Keeps room for the largest first, on the fullest that has it, until there is none for the next. */
const reserve = (
  movers: readonly Placement[],
  heavier: readonly Node[],
  maxMs: number | null,
): Step[] => {
  const steps: Step[] = []
  const fullestFirst = heavier.filter(hasBatchRoom).reverse()
  for (const placement of movers.toSorted((a, b) => b.numTokens - a.numTokens)) {
    const demand: Demand = { numTokens: placement.numTokens, adapter: placement.adapter }
    const target = fullestFirst.find(
      (node) => hasRoom(node, demand, maxMs) && leavesGrowth(node, demand),
    )
    if (target === undefined) break
    addReservation(target, placement.requestId, demand)
    steps.push({ placement, target, demand })
  }
  return steps
}

const hasBatchRoom = ({ numSequences, status }: Node): boolean => numSequences < status.maxBatchSize

const leavesGrowth = (node: Node, demand: Demand): boolean => {
  const growthPages = Math.ceil(growthTokens / node.status.pageSize)
  return node.freePages - pagesFor(node, demand) >= (node.numSequences + 1) * growthPages
}

/** Looked at first, because it is what a full cluster fails by, and costs the least. */
const leavesSpareRoom = (source: Node, heavier: readonly Node[], numMovers: number): boolean => {
  const numFree = heavier.reduce(
    (sum, { numSequences, status }) => sum + status.maxBatchSize - numSequences,
    0,
  )
  return numFree - numMovers >= Math.floor(source.status.maxBatchSize * spareFraction)
}
