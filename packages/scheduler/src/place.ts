import type { Task } from '@punica/schema'
import { adapterPagesFor, kvPagesFor, type Node, pagesFor } from './ledger.ts'

/**
 * Chooses the node for a task, or null when none has room (Punica, section 5.1): the one with the
 * largest working set that is below its batch limit and has KV pages for the request.
 *
 * Packing work keeps batches large where there are any, and drains the other nodes so that they can
 * be released. Ties go to the highest id, which makes the choice repeatable.
 */
export const place = (task: Task, nodes: Iterable<Node>): Node | null => {
  let best: Node | null = null
  for (const node of nodes) {
    if (hasRoom(node, task) && (best === null || isBusier(node, best))) best = node
  }
  return best
}

/** Whether the task could run there if the node ran nothing else. */
export const couldEverRun = (node: Node, task: Task): boolean =>
  isInContext(node, task) &&
  kvPagesFor(node, task) + adapterPagesFor(node, task) <= node.status.numPages

const isInContext = (node: Node, task: Task): boolean => task.tokens.length < node.status.maxContext

const hasBatchRoom = (node: Node): boolean => node.placements.size < node.status.maxBatchSize

const hasRoom = (node: Node, task: Task): boolean =>
  !node.suspect &&
  hasBatchRoom(node) &&
  isInContext(node, task) &&
  pagesFor(node, task) <= node.freePages

const isBusier = (a: Node, b: Node): boolean =>
  a.placements.size > b.placements.size ||
  (a.placements.size === b.placements.size && a.status.nodeId > b.status.nodeId)

/** Why `place` chose this node, in words. */
export const whyPlaced = (node: Node, task: Task): string =>
  `largest working set with room: ${node.placements.size} of ${node.status.maxBatchSize} sequences,` +
  ` needs ${pagesFor(node, task)} of ${node.freePages} free pages`

/** Why `place` found none, in words. */
export const whyNoRoom = (task: Task, nodes: readonly Node[]): string => {
  if (nodes.length === 0) return 'no node is ready'
  const atLimit = nodes.filter((node) => !hasBatchRoom(node)).length
  const suspect = nodes.filter((node) => hasBatchRoom(node) && node.suspect).length
  const short = nodes.length - atLimit - suspect
  const parts = [
    atLimit > 0 ? `${atLimit} at the batch limit` : '',
    short > 0 ? `${short} without pages for ${task.tokens.length} tokens and their adapter` : '',
    suspect > 0 ? `${suspect} not answering` : '',
  ]
  return `no node has room: ${parts.filter((part) => part !== '').join(', ')}`
}
