import { latencyQuantile, numLatencyBuckets, type PoolReport } from '@punica/schema'

type RouterReport = Extract<PoolReport, { type: 'router' }>
type LatencyReport = Extract<PoolReport, { type: 'latency' }>
type Latency = { p50: number; p99: number }

/** What a pool's router and gateways told lately; null: nobody has. */
type PoolFigures = {
  queuedRequests: number | null
  gpuSecondsSaved: number | null
  timeToFirstTokenMs: Latency | null
  interTokenMs: Latency | null
}

export type PoolReports = {
  /** False: it comes from a router that leads no more. */
  handle(pool: string, report: PoolReport, nowMs: number): boolean
  read(pool: string, nowMs: number): PoolFigures
}

/** Latencies are those of the last half minute. */
const windowMs = 30_000
/** A leader reports every second. */
const silenceMs = 5_000
/** Half a minute of a hundred gateways. */
const maxKept = 3_000
/** Whoever sends under the names of more pools than that is broken. */
const maxPools = 1_000

type Pool = {
  router: (RouterReport & { atMs: number }) | null
  latencies: (LatencyReport & { atMs: number })[]
}

/** Keeps what is told of pools for as long as it says something. It does no I/O. */
export const createPoolReports = (): PoolReports => {
  const pools = new Map<string, Pool>()

  return {
    handle: (name, report, nowMs) => {
      const pool = pools.get(name) ?? { router: null, latencies: [] }
      if (pools.size >= maxPools && !pools.has(name)) return true
      if (report.type === 'router') {
        if (report.epoch < (pool.router?.epoch ?? 0)) return false
        pool.router = { ...report, atMs: nowMs }
      } else {
        pool.latencies = recent(pool.latencies, nowMs).slice(1 - maxKept)
        pool.latencies.push({ ...report, atMs: nowMs })
      }
      pools.set(name, pool)
      return true
    },
    read: (name, nowMs) => {
      const pool = pools.get(name)
      const router = pool?.router ?? null
      const isHeard = router !== null && nowMs - router.atMs <= silenceMs
      const latencies = recent(pool?.latencies ?? [], nowMs)
      return {
        queuedRequests: isHeard ? router.queuedRequests : null,
        gpuSecondsSaved: isHeard ? router.gpuSecondsSaved : null,
        timeToFirstTokenMs: toLatency(latencies.map(({ timeToFirstToken }) => timeToFirstToken)),
        interTokenMs: toLatency(latencies.map(({ interToken }) => interToken)),
      }
    },
  }
}

const recent = (latencies: Pool['latencies'], nowMs: number): Pool['latencies'] =>
  latencies.filter(({ atMs }) => nowMs - atMs <= windowMs)

const toLatency = (reports: readonly LatencyReport['interToken'][]): Latency | null => {
  const counts = new Array<number>(numLatencyBuckets).fill(0)
  for (const [bucket, count] of reports.flat()) counts[bucket] = (counts[bucket] ?? 0) + count
  const [p50, p99] = [latencyQuantile(counts, 0.5), latencyQuantile(counts, 0.99)]
  return p50 === null || p99 === null ? null : { p50, p99 }
}
