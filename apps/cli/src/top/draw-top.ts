import type {
  BusyAdaptersQuery,
  ClusterStateSubscription,
  DecisionsSubscription,
} from '../generated/graphql.ts'
import { formatBytes, formatCount, formatMs, formatShare, formatTime } from '../terminal/format.ts'
import type { Io } from '../terminal/io.ts'
import { drawTable } from '../terminal/table.ts'
import { fit, toLine } from '../terminal/text.ts'

type Cluster = ClusterStateSubscription['clusterState']
export type Decision = DecisionsSubscription['decisions']['decisions'][number]
type Node = Cluster['nodes'][number]

/** An adapter that nodes hold or that has been used of late. */
export type BusyAdapter = {
  digest: string
  name: string | null
  numNodes: number
  requests: number
  sizeBytes: number
  tokens24h: number
}

export type TopState = {
  /** Of the control plane. */
  url: string
  isLive: boolean
  cluster: Cluster
  adapters: readonly BusyAdapter[]
  /** Newest first. */
  decisions: readonly Decision[]
}

const maxAdapters = 8
const barWidth = 12

/** The picture of `punica top`, in lines that fit the terminal. */
export const drawTop = (
  state: TopState,
  { columns, rows, paint }: { columns: number; rows: number; paint: Io['paint'] },
): string[] => {
  const { cluster, url, isLive } = state
  const head = `punica top  ${url}  ${formatTime(cluster.at)}${isLive ? '' : '  CONNECTION LOST'}`
  const adapters = drawAdapters(state.adapters.slice(0, maxAdapters))
  // Half of what is left for the nodes, so that a large cluster leaves room for decisions.
  const numFixed = 1 + cluster.pools.length * 2 + adapters.length + 4
  const maxNodes = Math.max(1, Math.min(cluster.nodes.length, Math.floor((rows - numFixed) / 2)))
  const lines = [
    ...cluster.pools.flatMap(drawPool),
    '',
    ...drawNodes(cluster.nodes, maxNodes),
    '',
    ...adapters,
    ...state.decisions.map(drawDecision),
  ]
  const fitted = lines.slice(0, Math.max(0, rows - 2)).map((line) => fit(line, columns).trimEnd())
  return [paint(isLive ? 'bold' : 'red', fit(head, columns).trimEnd()), ...fitted]
}

const drawPool = (pool: Cluster['pools'][number]): string[] => {
  const queued = pool.queuedRequests === null ? 'unknown' : formatCount(pool.queuedRequests)
  const { timeToFirstTokenMs: first, interTokenMs: between } = pool
  return [
    `${pool.name}: ${pool.activeNodes} of ${pool.readyNodes} GPUs busy (${pool.lowerBoundNodes} would do)   running ${formatCount(pool.runningRequests)}   queued ${queued}   ${formatCount(pool.tokensPerSecond)} tokens/s`,
    `  first token p50 ${formatMs(first?.p50)} p99 ${formatMs(first?.p99)}   between tokens p50 ${formatMs(between?.p50)} p99 ${formatMs(between?.p99)}`,
  ]
}

/** The busiest first. */
const drawNodes = (nodes: readonly Node[], max: number): string[] => {
  if (nodes.length === 0) return ['No GPU has reported yet.']
  const busiest = nodes.toSorted((a, b) => b.requests - a.requests || a.id.localeCompare(b.id))
  const table = drawTable(
    [
      { title: 'GPU', cell: ({ id }) => id },
      { title: 'STATE', cell: stateOf },
      { title: 'BATCH', cell: ({ requests, maxBatchSize }) => bar(requests, maxBatchSize) },
      {
        title: '',
        isNumber: true,
        cell: ({ requests, maxBatchSize }) => `${requests}/${maxBatchSize}`,
      },
      { title: 'ADAPTERS', isNumber: true, cell: ({ adaptersInBatch: n }) => String(n) },
      { title: 'KV', isNumber: true, cell: ({ kvPages, numPages }) => share(kvPages, numPages) },
      { title: 'LORA', isNumber: true, cell: (n) => share(n.adapterPages, n.numPages) },
      { title: 'TOKENS/S', isNumber: true, cell: (n) => formatCount(n.tokensPerSecond) },
    ],
    busiest.slice(0, max),
  ).split('\n')
  const numHidden = nodes.length - Math.min(max, nodes.length)
  return numHidden === 0 ? table : [...table, `and ${numHidden} more`]
}

const stateOf = ({ state, scheduling }: Node): string =>
  scheduling === 'OPEN' ? state.toLowerCase() : `${state} ${scheduling}`.toLowerCase()

const share = (part: number, whole: number): string => formatShare(whole === 0 ? 0 : part / whole)

const bar = (part: number, whole: number): string => {
  const filled = whole === 0 ? 0 : Math.min(barWidth, Math.ceil((part / whole) * barWidth))
  return '█'.repeat(filled) + '░'.repeat(barWidth - filled)
}

const drawAdapters = (adapters: readonly BusyAdapter[]): string[] => {
  if (adapters.length === 0) return []
  const table = drawTable(
    [
      { title: 'ADAPTER', cell: ({ name, digest }) => name ?? digest.slice(0, 12) },
      { title: 'RUNNING', isNumber: true, cell: ({ requests }) => formatCount(requests) },
      { title: 'ON GPUS', isNumber: true, cell: ({ numNodes }) => String(numNodes) },
      {
        title: 'SIZE',
        isNumber: true,
        cell: ({ sizeBytes: size }) => (size === 0 ? '–' : formatBytes(size)),
      },
      { title: 'TOKENS 24H', isNumber: true, cell: ({ tokens24h }) => formatCount(tokens24h) },
    ],
    adapters,
  )
  return [...table.split('\n'), '']
}

const drawDecision = ({ at, kind, tenant, nodeId, reason }: Decision): string => {
  const whom = [tenant, nodeId].filter((part) => part !== null).join(' ')
  return toLine(
    `${formatTime(at).slice(11, 19)} ${kind.toLowerCase().padEnd(9)} ${whom}  ${reason}`,
  )
}

/** Those with running requests first, then the most used. `totals` are of the last 24 hours. */
export const toBusyAdapters = ({ usageTotals, nodes }: BusyAdaptersQuery): BusyAdapter[] => {
  const found = new Map<string, BusyAdapter>()
  const of = (digest: string): BusyAdapter => {
    const known = found.get(digest)
    if (known !== undefined) return known
    const made = { digest, name: null, numNodes: 0, requests: 0, sizeBytes: 0, tokens24h: 0 }
    found.set(digest, made)
    return made
  }
  for (const { key, name, generatedTokens } of usageTotals) {
    const adapter = of(key)
    adapter.name = key === '' ? '(base model)' : name
    adapter.tokens24h = generatedTokens
  }
  for (const { digest, sizeBytes, requests } of nodes.edges.flatMap(
    ({ node }) => node.residentAdapters,
  )) {
    const adapter = of(digest)
    adapter.numNodes++
    adapter.requests += requests
    adapter.sizeBytes = sizeBytes
  }
  return [...found.values()].sort(
    (a, b) => b.requests - a.requests || b.tokens24h - a.tokens24h || b.numNodes - a.numNodes,
  )
}
