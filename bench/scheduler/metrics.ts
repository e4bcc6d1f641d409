import { createHistogram } from './histogram.ts'

/** A GPU cannot be given back the moment it is idle: one that is counts as held for this long. */
export const releaseAfterMs = 60_000

type Integral = { value: number; sum: number; sinceMs: number }

/** What one run is judged by. Times are simulated ms. */
export const createMetrics = (numNodes: number, maxBatchSize: number) => {
  const ttft = createHistogram()
  const itl = createHistogram()
  const active: Integral = { value: 0, sum: 0, sinceMs: 0 }
  const bound: Integral = { value: 0, sum: 0, sinceMs: 0 }
  const inSystem: Integral = { value: 0, sum: 0, sinceMs: 0 }
  const idleSinceMs = new Map<string, number>()
  let idleButHeldMs = 0
  let maxActive = 0

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
      maxActive = Math.max(maxActive, active.value)
      if (!isActive) idleSinceMs.set(nodeId, nowMs)
      else {
        idleButHeldMs += Math.min(releaseAfterMs, nowMs - (idleSinceMs.get(nodeId) ?? nowMs))
        idleSinceMs.delete(nodeId)
      }
    },
    summary: (nowMs: number) => {
      for (const integral of [active, bound, inSystem]) set(integral, integral.value, nowMs)
      const trailing = [...idleSinceMs.values()].map((since) =>
        Math.min(releaseAfterMs, nowMs - since),
      )
      const heldMs = active.sum + idleButHeldMs + trailing.reduce((sum, ms) => sum + ms, 0)
      return {
        gpuHours: active.sum / 3.6e6,
        heldGpuHours: heldMs / 3.6e6,
        meanActive: active.sum / nowMs,
        maxActive,
        meanLowerBound: bound.sum / nowMs,
        meanInSystem: inSystem.sum / nowMs,
        ttftP50Ms: ttft.quantile(0.5),
        ttftP99Ms: ttft.quantile(0.99),
        itlP50Ms: itl.quantile(0.5),
        itlP99Ms: itl.quantile(0.99),
        numTokens: itl.count + ttft.count,
      }
    },
  }
}

export type Metrics = ReturnType<typeof createMetrics>
export type MetricsSummary = ReturnType<Metrics['summary']>
