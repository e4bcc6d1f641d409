import { latencyBucket, type PoolReport } from '@punica/schema'

type Counts = Extract<PoolReport, { type: 'latency' }>['interToken']

export type LatencyReport = {
  firstToken(ms: number): void
  tokenGap(ms: number): void
  /** What was counted since it was last taken; null where nothing was. */
  take(): { timeToFirstToken: Counts; interToken: Counts } | null
}

/** Counts latencies for whoever watches the pool: all calls together, in buckets that add up. */
export const createLatencyReport = (): LatencyReport => {
  const firstTokens = new Map<number, number>()
  const gaps = new Map<number, number>()

  const count = (counts: Map<number, number>, ms: number): void => {
    const bucket = latencyBucket(ms)
    counts.set(bucket, (counts.get(bucket) ?? 0) + 1)
  }

  return {
    firstToken: (ms) => count(firstTokens, ms),
    tokenGap: (ms) => count(gaps, ms),
    take: () => {
      if (firstTokens.size === 0 && gaps.size === 0) return null
      const taken = { timeToFirstToken: [...firstTokens], interToken: [...gaps] }
      firstTokens.clear()
      gaps.clear()
      return taken
    },
  }
}
