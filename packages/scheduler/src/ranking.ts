import type { Node } from './ledger.ts'

/**
 * Nodes below their batch limit in the order in which placement prefers them (Punica, section 5.1):
 * by working set, the largest first, then by id, the highest first. It is kept up to date by whoever
 * changes a working set, so that a placement looks at the nodes that could take it and no others.
 */
export type Ranking = {
  /** Puts the node where it belongs now. */
  refresh(node: Node): void
  fullestFirst(): Iterable<Node>
}

/** By id; a node at its batch limit is in no bucket. */
const bucketOf = ({ numSequences, status }: Node): number | null =>
  numSequences < status.maxBatchSize ? numSequences : null

export const createRanking = (nodes: readonly Node[]): Ranking => {
  /** Index: size of the working set; each in descending order of id. */
  const buckets: Node[][] = []
  const placed = new Map<Node, number | null>()

  const remove = (node: Node, index: number): void => {
    const bucket = buckets[index]
    const position = bucket?.indexOf(node) ?? -1
    if (position >= 0) bucket?.splice(position, 1)
  }

  const insert = (node: Node, index: number): void => {
    while (buckets.length <= index) buckets.push([])
    const bucket = buckets[index]
    bucket?.splice(positionOf(bucket, node), 0, node)
  }

  const refresh = (node: Node): void => {
    const before = placed.get(node) ?? null
    const now = bucketOf(node)
    if (before === now) return
    if (before !== null) remove(node, before)
    if (now !== null) insert(node, now)
    placed.set(node, now)
  }

  for (const node of nodes) refresh(node)
  return {
    refresh,
    *fullestFirst() {
      for (let index = buckets.length - 1; index >= 0; index--) yield* buckets[index] ?? []
    },
  }
}

/** The first place whose node has a lower id. */
const positionOf = (bucket: readonly Node[], { status: { nodeId } }: Node): number => {
  let low = 0
  let high = bucket.length
  while (low < high) {
    const middle = (low + high) >>> 1
    const other = bucket[middle]
    if (other !== undefined && other.status.nodeId > nodeId) low = middle + 1
    else high = middle
  }
  return low
}
