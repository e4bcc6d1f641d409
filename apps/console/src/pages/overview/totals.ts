import type { ClusterStateSubscription } from '../../generated/graphql.ts'

export type Cluster = ClusterStateSubscription['clusterState']
export type Pool = Cluster['pools'][number]
export type Gpu = Cluster['nodes'][number]
export type Latency = NonNullable<Pool['interTokenMs']>

/** The figures of all pools together. null: no pool has told. */
export type Totals = {
  readyNodes: number
  activeNodes: number
  lowerBoundNodes: number
  runningRequests: number
  queuedRequests: number | null
  tokensPerSecond: number
  timeToFirstTokenMs: Latency | null
  interTokenMs: Latency | null
  gpuSecondsSaved: number | null
}

/** Counts add up; of latencies the worst pool's stand, as its clients feel them. */
export const toTotals = (pools: readonly Pool[]): Totals => ({
  readyNodes: sum(pools.map((pool) => pool.readyNodes)) ?? 0,
  activeNodes: sum(pools.map((pool) => pool.activeNodes)) ?? 0,
  lowerBoundNodes: sum(pools.map((pool) => pool.lowerBoundNodes)) ?? 0,
  runningRequests: sum(pools.map((pool) => pool.runningRequests)) ?? 0,
  queuedRequests: sum(pools.map((pool) => pool.queuedRequests)),
  tokensPerSecond: sum(pools.map((pool) => pool.tokensPerSecond)) ?? 0,
  timeToFirstTokenMs: worst(pools.map((pool) => pool.timeToFirstTokenMs)),
  interTokenMs: worst(pools.map((pool) => pool.interTokenMs)),
  gpuSecondsSaved: sum(pools.map((pool) => pool.gpuSecondsSaved)),
})

const sum = (values: readonly (number | null)[]): number | null => {
  const known = values.filter((value) => value !== null)
  return known.length === 0 ? null : known.reduce((total, value) => total + value, 0)
}

const worst = (values: readonly (Latency | null)[]): Latency | null => {
  const known = values.filter((value) => value !== null)
  const [first, ...others] = known
  return others.reduce<Latency | null>(
    (most, value) => (most === null || value.p99 > most.p99 ? value : most),
    first ?? null,
  )
}
