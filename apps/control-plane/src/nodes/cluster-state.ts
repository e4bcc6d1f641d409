import type { ClusterState, NodeLoad, PoolState } from '../generated/graphql.ts'
import type { Inventory, NodeView } from './inventory.ts'
import type { PoolReports } from './pool-reports.ts'
import type { DecisionWatch } from './watch-decisions.ts'

type Deps = {
  inventory: Pick<Inventory, 'list'>
  decisionWatch: Pick<DecisionWatch, 'scaleHint'>
  poolReports: Pick<PoolReports, 'read'>
}

/** What an overview shows of a pool, or of all that have nodes. */
export const toClusterState = (
  { inventory, ...watches }: Deps,
  pool: string | null,
): ClusterState => {
  const nodes = inventory.list(pool)
  const pools = new Map<string, NodeView[]>(pool === null ? [] : [[pool, []]])
  for (const node of nodes) {
    const members = pools.get(node.status.pool) ?? []
    members.push(node)
    pools.set(node.status.pool, members)
  }
  return {
    at: new Date(),
    pools: [...pools]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, members]) => toPoolState(name, members, watches)),
    nodes: nodes.map(toNodeLoad),
  }
}

const toPoolState = (
  name: string,
  nodes: readonly NodeView[],
  { decisionWatch, poolReports }: Omit<Deps, 'inventory'>,
): PoolState => {
  const ready = nodes.filter(({ state }) => state === 'READY')
  const runningRequests = sum(ready, ({ status }) => status.requests.length)
  return {
    name,
    readyNodes: ready.length,
    activeNodes: ready.filter(({ status }) => status.requests.length > 0).length,
    lowerBoundNodes: lowerBound(ready, runningRequests),
    runningRequests,
    tokensPerSecond: sum(ready, ({ rate }) => rate.perSecond),
    ...poolReports.read(name, Date.now()),
    scaleHint: decisionWatch.scaleHint(name),
  }
}

const sum = (nodes: readonly NodeView[], of: (node: NodeView) => number): number =>
  nodes.reduce((total, node) => total + of(node), 0)

/** The fewest of the nodes whose batches together have room for so many requests. */
const lowerBound = (nodes: readonly NodeView[], numRequests: number): number => {
  const sizes = nodes.map(({ status }) => status.maxBatchSize).sort((a, b) => b - a)
  let room = 0
  let numNodes = 0
  for (const size of sizes) {
    if (room >= numRequests) break
    room += size
    numNodes += 1
  }
  return numNodes
}

const toNodeLoad = ({ state, scheduling, status, rate }: NodeView): NodeLoad => ({
  id: status.nodeId,
  pool: status.pool,
  state,
  scheduling,
  requests: status.requests.length,
  maxBatchSize: status.maxBatchSize,
  batchSize: status.counters.batchSize,
  adaptersInBatch: status.counters.adaptersInBatch,
  numPages: status.numPages,
  freePages: status.freePages,
  kvPages: status.kvPages,
  adapterPages: status.adapterPages,
  tokensPerSecond: state === 'LOST' ? 0 : rate.perSecond,
})
