import type { NodeStatus, Task } from '@punica/schema'
import type { Waiting } from './queue.ts'

/** One attempt of a request that a node has been given and that is not known to have ended. */
export type Placement = {
  readonly type: 'placed'
  readonly requestId: string
  readonly attempt: number
  readonly nodeId: string
  /** null: found on a node whose status did not name the gateway. */
  readonly gatewayId: string | null
  readonly tenant: string | null
  /** Pages to count until the node's status allows for them. */
  readonly numKvPages: number
  readonly adapter: { readonly digest: string; readonly numPages: number } | null
  /** What goes back to the queue if the node refuses; null once it has accepted. */
  waiting: Waiting | null
  /** The newest status names it, so its pages are in that status' `freePages`. */
  mentioned: boolean
  /** A cancel is on its way: it takes room until the node lets go of it, and nobody waits for it. */
  unwanted: boolean
}

/**
 * A node as the scheduler sees it: its newest status, and the ledger of what it was given. A status
 * is always a little old; what was assigned since it was made still counts.
 */
export type Node = {
  status: NodeStatus
  seenMs: number
  /** It did not do as it was asked; nothing is assigned until its next status. */
  suspect: boolean
  readonly placements: Map<string, Placement>
  /** Derived from the status: what it says of each adapter. */
  adapters: ReadonlyMap<string, { sizeBytes: number; requests: number }>
  /** Derived: free pages less what was assigned since the status was made. */
  freePages: number
  /** Derived: adapters that a placement uses. */
  adaptersInUse: ReadonlySet<string>
}

export const placementKey = (requestId: string, attempt: number): string =>
  `${attempt}:${requestId}`

export const createNode = (status: NodeStatus, nowMs: number): Node => ({
  status,
  seenMs: nowMs,
  suspect: false,
  placements: new Map(),
  adapters: byDigest(status),
  freePages: status.freePages,
  adaptersInUse: new Set(),
})

export const updateStatus = (node: Node, status: NodeStatus): void => {
  node.status = status
  node.adapters = byDigest(status)
  recount(node)
}

export const addPlacement = (node: Node, placement: Placement): void => {
  node.placements.set(placementKey(placement.requestId, placement.attempt), placement)
  recount(node)
}

/** Returns what was removed; undefined where there was nothing. */
export const removePlacement = (
  node: Node,
  { requestId, attempt }: { requestId: string; attempt: number },
): Placement | undefined => {
  const key = placementKey(requestId, attempt)
  const placement = node.placements.get(key)
  if (node.placements.delete(key)) recount(node)
  return placement
}

/** KV pages for the prompt, what was generated of it, and the next token. */
export const kvPagesFor = (node: Node, task: Task): number =>
  Math.ceil((task.tokens.length + 1) / node.status.pageSize)

/** A node that has loaded an adapter knows better than its files how much of the pool it takes. */
export const adapterPagesFor = (node: Node, { adapter }: Task): number => {
  if (adapter === null) return 0
  const { sizeBytes } = node.adapters.get(adapter.digest) ?? adapter
  return Math.ceil(sizeBytes / node.status.pageBytes)
}

/**
 * Pages that the task would take from the node's free ones. An adapter that no request uses counts
 * in full even where it is resident, because the node reports the pages of an idle one as free.
 */
export const pagesFor = (node: Node, task: Task): number =>
  kvPagesFor(node, task) + (usesAdapter(node, task) ? 0 : adapterPagesFor(node, task))

const usesAdapter = (node: Node, { adapter }: Task): boolean =>
  adapter !== null &&
  (node.adaptersInUse.has(adapter.digest) || isReportedInUse(node, adapter.digest))

const isReportedInUse = (node: Node, digest: string): boolean =>
  (node.adapters.get(digest)?.requests ?? 0) > 0

const byDigest = (status: NodeStatus): Node['adapters'] =>
  new Map(status.adapters.map((adapter) => [adapter.digest, adapter]))

/** Brings the fields that depend on the placements up to date. */
const recount = (node: Node): void => {
  let { freePages } = node.status
  const inUse = new Set<string>()
  const reserved = new Set<string>()
  for (const { mentioned, numKvPages, adapter } of node.placements.values()) {
    if (!mentioned) freePages -= numKvPages
    if (adapter === null) continue
    inUse.add(adapter.digest)
    if (mentioned || reserved.has(adapter.digest) || isReportedInUse(node, adapter.digest)) continue
    reserved.add(adapter.digest)
    freePages -= adapter.numPages
  }
  node.freePages = freePages
  node.adaptersInUse = inUse
}
