import { createHistogram } from './histogram.ts'

/** A GPU cannot be given back the moment it is idle: one that is counts as held for this long. */
export const releaseAfterMs = 60_000

type Integral = { value: number; sum: number; sinceMs: number }

/** What one run is judged by, in sums that those of several pools can be added to. */
export type Totals = {
  /** GPU time with a request, and the same with what is held after it. */
  activeMs: number
  heldMs: number
  boundMs: number
  inSystemMs: number
  /** Counts of histogram.ts. */
  ttft: readonly number[]
  itl: readonly number[]
}

export type MetricsSummary = ReturnType<typeof summarize>

/** Times are simulated ms. */
export const createMetrics = (numNodes: number, maxBatchSize: number) => {
  const ttft = createHistogram()
  const itl = createHistogram()
  const active: Integral = { value: 0, sum: 0, sinceMs: 0 }
  const bound: Integral = { value: 0, sum: 0, sinceMs: 0 }
  const inSystem: Integral = { value: 0, sum: 0, sinceMs: 0 }
  const idleSinceMs = new Map<string, number>()
  let idleButHeldMs = 0

  const set = (integral: Integral, value: number, nowMs: number): void => {
    integral.sum += integral.value * (nowMs - integral.sinceMs)
    integral.value = value
    integral.sinceMs = nowMs
  }

  return {
    ttft,
    itl,
    get numActive() {
      return active.value
    },
    get lowerBound() {
      return bound.value
    },
    get numInSystem() {
      return inSystem.value
    },
    /** Requests that are with the cluster, on nodes, in the queue or on the way. */
    setInSystem: (count: number, nowMs: number): void => {
      set(inSystem, count, nowMs)
      set(bound, Math.min(numNodes, Math.ceil(count / maxBatchSize)), nowMs)
    },
    /** A node got its first request, or lost its last one. */
    setActive: (nodeId: string, isActive: boolean, nowMs: number): void => {
      set(active, active.value + (isActive ? 1 : -1), nowMs)
      if (!isActive) idleSinceMs.set(nodeId, nowMs)
      else {
        idleButHeldMs += Math.min(releaseAfterMs, nowMs - (idleSinceMs.get(nodeId) ?? nowMs))
        idleSinceMs.delete(nodeId)
      }
    },
    totals: (nowMs: number): Totals => {
      for (const integral of [active, bound, inSystem]) set(integral, integral.value, nowMs)
      const trailing = [...idleSinceMs.values()].map((since) =>
        Math.min(releaseAfterMs, nowMs - since),
      )
      return {
        activeMs: active.sum,
        heldMs: active.sum + idleButHeldMs + trailing.reduce((sum, ms) => sum + ms, 0),
        boundMs: bound.sum,
        inSystemMs: inSystem.sum,
        ttft: ttft.counts(),
        itl: itl.counts(),
      }
    },
  }
}

/** Of several pools side by side. */
export const addTotals = (all: readonly Totals[]): Totals => {
  const sum = (key: 'activeMs' | 'heldMs' | 'boundMs' | 'inSystemMs'): number =>
    all.reduce((total, totals) => total + totals[key], 0)
  const merge = (key: 'ttft' | 'itl'): number[] => {
    const counts: number[] = []
    for (const { [key]: own } of all) {
      for (const [bucket, count] of own.entries()) counts[bucket] = (counts[bucket] ?? 0) + count
    }
    return counts
  }
  return {
    activeMs: sum('activeMs'),
    heldMs: sum('heldMs'),
    boundMs: sum('boundMs'),
    inSystemMs: sum('inSystemMs'),
    ttft: merge('ttft'),
    itl: merge('itl'),
  }
}

/** Of a run of `endMs`. */
export const summarize = (totals: Totals, endMs: number) => {
  const ttft = createHistogram(totals.ttft)
  const itl = createHistogram(totals.itl)
  return {
    gpuHours: totals.activeMs / 3.6e6,
    heldGpuHours: totals.heldMs / 3.6e6,
    meanActive: totals.activeMs / endMs,
    meanLowerBound: totals.boundMs / endMs,
    meanInSystem: totals.inSystemMs / endMs,
    ttftP50Ms: ttft.quantile(0.5),
    ttftP99Ms: ttft.quantile(0.99),
    itlP50Ms: itl.quantile(0.5),
    itlP99Ms: itl.quantile(0.99),
    numTokens: itl.count + ttft.count,
  }
}
