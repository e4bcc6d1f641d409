import type { NodeStatus, Task } from '@punica/schema'
import type { Waiting } from './queue.ts'
import type { Ranking } from './ranking.ts'
import type { Charge } from './tenants.ts'

/** What a request asks of a node. */
export type Demand = {
  /** Its pages hold so many, and the next one. */
  readonly numTokens: number
  readonly adapter: { readonly digest: string; readonly sizeBytes: number } | null
}

/** What a request takes, or will take, of a node. */
type Share = {
  readonly requestId: string
  /** Pages to count until the node's status allows for them. */
  readonly numKvPages: number
  readonly adapter: {
    readonly digest: string
    readonly numPages: number
    readonly sizeBytes: number
  } | null
  /** Prompt and what was generated, as far as known. */
  numTokens: number
}

/** One attempt of a request that a node has been given and that is not known to have ended. */
export type Placement = Share & {
  readonly type: 'placed'
  readonly attempt: number
  readonly nodeId: string
  /** null: found on a node whose status did not name the gateway. */
  readonly gatewayId: string | null
  readonly tenant: string | null
  readonly placedMs: number
  /** What `numTokens` may become; null: found on a node whose status did not say. */
  readonly maxTokens: number | null
  /** null: it was paid for under another scheduler, or is settled. */
  charge: Charge | null
  /** What goes back to the queue if the node refuses; null once it has accepted. */
  waiting: Waiting | null
  /** The newest status names it, so its pages are in that status' `freePages`. */
  mentioned: boolean
  /** A cancel is on its way: it takes room until the node lets go of it, and nobody waits for it. */
  unwanted: boolean
  /** When its node was last told to let go of it, so that it can go on elsewhere. */
  evictMs: number | null
  /** Found on its node, and assigned by an earlier scheduler. */
  readonly adopted: boolean
}

/** How many placements and reservations use an adapter, and what is counted for it. */
type AdapterUse = {
  numUsers: number
  /** Users that the status does not allow for. */
  numNew: number
  /** What the first of those took off the free pages. */
  numPages: number
  sizeBytes: number
}

/** Room kept for a request that was told to leave another node. */
type Reservation = Share

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
  /** By request id. */
  readonly reservations: Map<string, Reservation>
  /** What statuses have said of adapters that were asked about: bytes of the pool, by digest. */
  readonly adapterSizes: Map<string, number>
  /** Derived from the status: bytes of the adapters that its requests use. */
  readonly reportedInUse: Map<string, number>
  /** Derived: free pages less what was assigned or reserved since the status was made. */
  freePages: number
  /** Derived: adapters that a placement or reservation uses. */
  readonly uses: Map<string, AdapterUse>
  /** Derived: the working set, placed and reserved. */
  numSequences: number
  /** Where it has a rank while it may be given work. */
  ranking: Ranking | null
  /** Derived: tokens of all contexts. */
  numContextTokens: number
  /** Derived: bytes of the distinct adapters in use. */
  adapterBytes: number
}

/** Adapters of a node whose sizes are remembered. */
const maxAdapterSizes = 4_096

export const placementKey = (requestId: string, attempt: number): string =>
  `${attempt}:${requestId}`

export const createNode = (status: NodeStatus, nowMs: number): Node => {
  const node: Node = {
    status,
    seenMs: nowMs,
    suspect: false,
    placements: new Map(),
    reservations: new Map(),
    adapterSizes: new Map(),
    reportedInUse: new Map(),
    freePages: 0,
    uses: new Map(),
    numSequences: 0,
    ranking: null,
    numContextTokens: 0,
    adapterBytes: 0,
  }
  updateStatus(node, status)
  return node
}

/** A request as a status names it. */
export type Reported = NodeStatus['requests'][number]

/**
 * Takes over what a new status says of the requests that the node was given, and returns those that
 * it was not. A request that is named without its length has grown by a token a step at most, which
 * is what is then assumed.
 */
export const takeReported = (node: Node, { requests, counters }: NodeStatus): Reported[] => {
  const numSteps = Math.max(0, counters.steps - node.status.counters.steps)
  for (const placement of node.placements.values()) placement.mentioned = false
  return requests.filter(({ requestId, attempt, numTokens }) => {
    const placement = node.placements.get(placementKey(requestId, attempt))
    if (placement === undefined) return true
    const most = Math.min(placement.numTokens + numSteps, placement.maxTokens ?? Infinity)
    placement.numTokens = numTokens ?? most
    placement.mentioned = true
    return false
  })
}

/** What the status says of the node as a whole. */
export const updateStatus = (node: Node, status: NodeStatus): void => {
  node.status = status
  node.reportedInUse.clear()
  for (const { digest, sizeBytes, requests } of status.adapters) {
    if (requests > 0) node.reportedInUse.set(digest, sizeBytes)
  }
  recount(node)
}

export const addPlacement = (node: Node, placement: Placement): void => {
  node.placements.set(placementKey(placement.requestId, placement.attempt), placement)
  count(node, placement, placement.mentioned)
  resize(node)
}

/** Returns what was removed; undefined where there was nothing. */
export const removePlacement = (
  node: Node,
  { requestId, attempt }: { requestId: string; attempt: number },
): Placement | undefined => {
  const key = placementKey(requestId, attempt)
  const placement = node.placements.get(key)
  if (placement === undefined) return undefined
  node.placements.delete(key)
  discount(node, placement, placement.mentioned)
  resize(node)
  return placement
}

export const addReservation = (node: Node, requestId: string, demand: Demand): void => {
  const reservation = { requestId, ...shareOf(node, demand) }
  node.reservations.set(requestId, reservation)
  count(node, reservation, false)
  resize(node)
}

export const removeReservation = (node: Node, requestId: string): void => {
  const reservation = node.reservations.get(requestId)
  if (reservation === undefined) return
  node.reservations.delete(requestId)
  discount(node, reservation, false)
  resize(node)
}

const resize = (node: Node): void => {
  node.numSequences = node.placements.size + node.reservations.size
  node.ranking?.refresh(node)
}

export const toDemand = ({ tokens, adapter }: Task): Demand => ({
  numTokens: tokens.length,
  adapter,
})

/** What the ledger counts for a demand on this node. */
export const shareOf = (node: Node, demand: Demand): Omit<Share, 'requestId'> => {
  const { numTokens, adapter } = demand
  return {
    numTokens,
    numKvPages: kvPagesFor(node, demand),
    adapter:
      adapter === null
        ? null
        : {
            digest: adapter.digest,
            numPages: adapterPagesFor(node, demand),
            sizeBytes: adapterBytesFor(node, adapter),
          },
  }
}

/** KV pages for the prompt, what was generated of it, and the next token. */
export const kvPagesFor = (node: Node, { numTokens }: Demand): number =>
  Math.ceil((numTokens + 1) / node.status.pageSize)

/** A node that has loaded an adapter knows better than its files how much of the pool it takes. */
const adapterBytesFor = (
  node: Node,
  { digest, sizeBytes }: { digest: string; sizeBytes: number },
): number => adapterSize(node, digest) ?? sizeBytes

/**
 * Bytes that an adapter takes of the node's pool; undefined: it has not said. A digest names the same
 * bytes for ever, so what was found once holds; on the disk an adapter is as large as its files.
 */
export const adapterSize = (node: Node, digest: string): number | undefined => {
  const known = node.adapterSizes.get(digest)
  if (known !== undefined) return known
  // A status comes often and lists thousands; few of them are asked about.
  const found = node.status.adapters.find((adapter) => adapter.digest === digest)
  if (found === undefined || found.tier === 'disk') return found?.sizeBytes
  if (node.adapterSizes.size >= maxAdapterSizes) node.adapterSizes.clear()
  node.adapterSizes.set(digest, found.sizeBytes)
  return found.sizeBytes
}

export const adapterPagesFor = (node: Node, { adapter }: Demand): number =>
  adapter === null ? 0 : Math.ceil(adapterBytesFor(node, adapter) / node.status.pageBytes)

/**
 * Pages that the demand would take from the node's free ones. An adapter that no request uses counts
 * in full even where it is resident, because the node reports the pages of an idle one as free.
 */
export const pagesFor = (node: Node, demand: Demand): number =>
  kvPagesFor(node, demand) + (usesAdapter(node, demand) ? 0 : adapterPagesFor(node, demand))

/** Bytes that every step would have to read in addition for the demand's adapter. */
export const newAdapterBytes = (node: Node, demand: Demand): number =>
  demand.adapter === null || usesAdapter(node, demand) ? 0 : adapterBytesFor(node, demand.adapter)

const usesAdapter = (node: Node, { adapter }: Demand): boolean =>
  adapter !== null && (node.uses.has(adapter.digest) || node.reportedInUse.has(adapter.digest))

/** Brings the fields that depend on the status up to date. */
const recount = (node: Node): void => {
  node.freePages = node.status.freePages
  node.numContextTokens = 0
  node.adapterBytes = 0
  node.uses.clear()
  for (const sizeBytes of node.reportedInUse.values()) node.adapterBytes += sizeBytes
  for (const placement of node.placements.values()) count(node, placement, placement.mentioned)
  for (const reservation of node.reservations.values()) count(node, reservation, false)
  resize(node)
}

/** `mentioned`: the status allows for it. */
const count = (node: Node, { numTokens, numKvPages, adapter }: Share, mentioned: boolean): void => {
  node.numContextTokens += numTokens
  if (!mentioned) node.freePages -= numKvPages
  if (adapter === null) return
  const { digest, numPages, sizeBytes } = adapter
  let use = node.uses.get(digest)
  if (use === undefined) {
    use = { numUsers: 0, numNew: 0, numPages, sizeBytes }
    node.uses.set(digest, use)
  }
  const isReported = node.reportedInUse.has(digest)
  if (use.numUsers++ === 0 && !isReported) node.adapterBytes += use.sizeBytes
  if (mentioned || use.numNew++ > 0) return
  use.numPages = isReported ? 0 : numPages
  node.freePages -= use.numPages
}

/** Undoes `count`. */
const discount = (
  node: Node,
  { numTokens, numKvPages, adapter }: Share,
  mentioned: boolean,
): void => {
  node.numContextTokens -= numTokens
  if (!mentioned) node.freePages += numKvPages
  const use = adapter === null ? undefined : node.uses.get(adapter.digest)
  if (adapter === null || use === undefined) return
  if (!mentioned && --use.numNew === 0) node.freePages += use.numPages
  if (--use.numUsers > 0) return
  node.uses.delete(adapter.digest)
  if (!node.reportedInUse.has(adapter.digest)) node.adapterBytes -= use.sizeBytes
}
