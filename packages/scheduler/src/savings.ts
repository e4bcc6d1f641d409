/** GPU time so far, in seconds: a node counts while it runs a request. */
export type GpuSeconds = {
  readonly active: number
  /** What it would have been had every request gone to the node with the fewest and stayed there. */
  readonly leastLoaded: number
}

/**
 * Keeps the accounts of a least-loaded cluster beside the real one: the same requests on as many
 * nodes, each for as long as it really takes. There steps would be shorter, and so would stays; what
 * is saved is an estimate from above for that reason, and from below for those that it would have
 * spread over nodes that wait for pages. It holds one number a request and one a node.
 */
export const createSavings = () => {
  /** Of each shadow node, how many requests it has. */
  const counts: number[] = []
  const nodeOf = new Map<string, number>()
  let numShadowActive = 0
  let lastMs: number | null = null
  const seconds = { active: 0, leastLoaded: 0 }

  const fewest = (numNodes: number): number => {
    let best = 0
    for (let index = 1; index < numNodes; index++) {
      if ((counts[index] ?? 0) < (counts[best] ?? 0)) best = index
    }
    return best
  }

  return {
    /** A request has been given a node, its first or another. */
    began: (requestId: string, numNodes: number): void => {
      if (nodeOf.has(requestId)) return
      const index = fewest(numNodes)
      nodeOf.set(requestId, index)
      const before = counts[index] ?? 0
      counts[index] = before + 1
      if (before === 0) numShadowActive++
    },
    /** Nobody waits for it any more. */
    ended: (requestId: string): void => {
      const index = nodeOf.get(requestId)
      if (index === undefined) return
      nodeOf.delete(requestId)
      const left = (counts[index] ?? 1) - 1
      counts[index] = left
      if (left === 0) numShadowActive--
    },
    /** Adds up the time since the last call, with as many active nodes as there are now. */
    advance: (nowMs: number, numActive: number): void => {
      const passed = lastMs === null ? 0 : Math.max(0, nowMs - lastMs) / 1_000
      lastMs = nowMs
      seconds.active += passed * numActive
      seconds.leastLoaded += passed * numShadowActive
    },
    seconds: (): GpuSeconds => ({ ...seconds }),
  }
}

export type Savings = ReturnType<typeof createSavings>
