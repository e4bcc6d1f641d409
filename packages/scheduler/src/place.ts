import { stepMs, stepMsAlone } from './cost.ts'
import { adapterPagesFor, type Demand, kvPagesFor, type Node, pagesFor } from './ledger.ts'
import type { Ranking } from './ranking.ts'

/** Why a node cannot take a request now; `pace`: the step would take longer than the pool's target. */
type Obstacle = 'batch' | 'suspect' | 'context' | 'pages' | 'pace'

/** Times between two tokens, by the model of cost.ts; null: any. */
export type Pace = {
  /** Up to here requests are packed onto the fullest node. */
  readonly packMs: number | null
  /** No placement may exceed this. */
  readonly maxMs: number | null
}

/**
 * Chooses the node for a request, or null when none has room (Punica, section 5.1): the one with the
 * largest working set that is below its batch limit and has KV pages for the request.
 *
 * Packing work keeps batches large where there are any, and drains the other nodes so that they can
 * be released. Ties go to the highest id, which makes the choice repeatable. Packing ends where it
 * would slow down those who are there: when every node with room is at the pace up to which it is
 * done, the one that would be the quickest takes the request.
 */
export const place = (demand: Demand, ranking: Ranking, pace: Pace): Node | null => {
  let quickest: Node | null = null
  let quickestMs = Infinity
  for (const node of ranking.fullestFirst()) {
    if (obstacle(node, demand, pace.maxMs) !== null) continue
    if (pace.packMs === null) return node
    const ms = stepMs(node, demand) ?? 0
    if (ms <= pace.packMs) return node
    if (ms > quickestMs) continue
    if (ms === quickestMs && quickest !== null && !hasHigherId(node, quickest)) continue
    quickest = node
    quickestMs = ms
  }
  return quickest
}

const hasHigherId = (a: Node, b: Node): boolean => a.status.nodeId > b.status.nodeId

/**
 * A request that would break the pace even alone on any of the nodes must not wait for ever: the
 * quickest of the empty nodes is the best that there is for it. null: this is no such request, or
 * none is empty.
 */
export const placeTooSlow = (
  demand: Demand,
  nodes: readonly Node[],
  { maxMs }: Pace,
): Node | null => {
  if (maxMs === null) return null
  let best: Node | null = null
  let bestMs = Infinity
  for (const node of nodes) {
    const ms = stepMsAlone(node, demand) ?? 0
    if (ms <= maxMs) return null
    if (ms >= bestMs || node.numSequences > 0 || !hasRoom(node, demand, null)) continue
    best = node
    bestMs = ms
  }
  return best
}

/** Whether it could be placed there at all; `maxMs` is of the step that would come of it. */
export const hasRoom = (node: Node, demand: Demand, maxMs: number | null): boolean =>
  obstacle(node, demand, maxMs) === null

/** Whether the request could run there if the node ran nothing else. */
export const couldEverRun = (node: Node, demand: Demand): boolean =>
  isInContext(node, demand) &&
  kvPagesFor(node, demand) + adapterPagesFor(node, demand) <= node.status.numPages

const obstacle = (node: Node, demand: Demand, maxMs: number | null): Obstacle | null => {
  if (node.numSequences >= node.status.maxBatchSize) return 'batch'
  if (node.suspect) return 'suspect'
  if (!isInContext(node, demand)) return 'context'
  if (pagesFor(node, demand) > node.freePages) return 'pages'
  if (!keepsPace(node, demand, maxMs)) return 'pace'
  return null
}

const isInContext = (node: Node, { numTokens }: Demand): boolean =>
  numTokens < node.status.maxContext

const keepsPace = (node: Node, demand: Demand, maxMs: number | null): boolean =>
  maxMs === null || (stepMs(node, demand) ?? 0) <= maxMs

/** A total order of nodes: by working set, then by id. */
export const isBusier = (a: Node, b: Node): boolean =>
  a.numSequences > b.numSequences ||
  (a.numSequences === b.numSequences && a.status.nodeId > b.status.nodeId)

/** Why `place` chose this node, in words. */
export const whyPlaced = (node: Node, demand: Demand, { packMs }: Pace): string => {
  const ms = stepMs(node, demand)
  const rule =
    packMs !== null && ms !== null && ms > packMs
      ? `shortest step, for none is below ${packMs} ms`
      : 'largest working set with room'
  return (
    `${rule}: ${node.numSequences} of ${node.status.maxBatchSize} sequences,` +
    ` needs ${pagesFor(node, demand)} of ${node.freePages} free pages` +
    (ms === null ? '' : `, step ${ms.toFixed(2)} ms`)
  )
}

/** Why `place` found none, in words. */
export const whyNoRoom = (demand: Demand, nodes: readonly Node[], { maxMs }: Pace): string => {
  if (nodes.length === 0) return 'no node is ready'
  const found = nodes.map((node) => obstacle(node, demand, maxMs))
  const count = (...kinds: Obstacle[]): number =>
    found.filter((kind) => kind !== null && kinds.includes(kind)).length
  const parts = [
    [count('batch'), 'at the batch limit'],
    [count('context', 'pages'), `without pages for ${demand.numTokens} tokens and their adapter`],
    [count('suspect'), 'not answering'],
    [count('pace'), `where a step would take more than ${maxMs} ms`],
  ]
  const told = parts.filter(([number]) => number !== 0).map((part) => part.join(' '))
  return `no node has room: ${told.join(', ')}`
}
