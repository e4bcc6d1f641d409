import { type ClusterOptions, type Outcome, type Sample, simulate } from './cluster.ts'
import { addTotals, summarize } from './metrics.ts'
import { createPolicy, type PaceChoice } from './policies.ts'
import type { Arrival, Trace } from './trace.ts'

/**
 * A cluster divided into pools, each with a scheduler of its own, as a large one is run: the nodes
 * are dealt out, requests go to the pools in turn, and no pool knows of another.
 */
export type PooledRun = {
  readonly trace: Trace
  readonly policy: string
  readonly pace: PaceChoice
  /** Of all pools together. */
  readonly cluster: ClusterOptions
  readonly numPools: number
}

/** Simulates some of the pools, one after another. */
export const simulatePools = (run: PooledRun, pools: readonly number[]): Outcome => {
  const { policy, pace, cluster, numPools } = run
  const arrivals = dealOut(run.trace, numPools, pools)
  const outcomes = pools.map((pool) => {
    const numNodes = Math.floor((cluster.numNodes - pool - 1) / numPools) + 1
    const own = arrivals.get(pool) ?? []
    arrivals.delete(pool)
    const trace = { ...run.trace, arrivals: () => own }
    return simulate(trace, createPolicy(policy, pace), { ...cluster, numNodes })
  })
  return addOutcomes(outcomes)
}

const dealOut = (trace: Trace, numPools: number, wanted: readonly number[]) => {
  const byPool = new Map(wanted.map((pool): [number, Arrival[]] => [pool, []]))
  let index = 0
  for (const arrival of trace.arrivals()) byPool.get(index++ % numPools)?.push(arrival)
  return byPool
}

/** Of pools side by side; what is a mean is one over the time of the longest. */
export const addOutcomes = (outcomes: readonly Outcome[]): Outcome => {
  const [only] = outcomes
  if (only !== undefined && outcomes.length === 1) return only
  const sum = (pick: (outcome: Outcome) => number): number =>
    outcomes.reduce((total, outcome) => total + pick(outcome), 0)
  const endMs = Math.max(0, ...outcomes.map((outcome) => outcome.endMs))
  const totals = addTotals(outcomes.map((outcome) => outcome.totals))
  const samples = addSamples(outcomes.map((outcome) => outcome.samples))
  return {
    ...summarize(totals, endMs),
    totals,
    endMs,
    maxActive: Math.max(0, ...samples.map(({ numActive }) => numActive)),
    numRequests: sum((outcome) => outcome.numRequests),
    numDone: sum((outcome) => outcome.numDone),
    numRefused: sum((outcome) => outcome.numRefused),
    numEvicted: sum((outcome) => outcome.numEvicted),
    numMoved: sum((outcome) => outcome.numMoved),
    numRefilledTokens: sum((outcome) => outcome.numRefilledTokens),
    numEvents: sum((outcome) => outcome.numEvents),
    samples,
  }
}

/** A pool that is at its end is empty from then on. */
const addSamples = (all: readonly (readonly Sample[])[]): Sample[] => {
  const [longest] = all.toSorted((a, b) => b.length - a.length)
  return (longest ?? []).map(({ timeMs }, index) => {
    const sum = (key: 'numActive' | 'lowerBound' | 'numInSystem'): number =>
      all.reduce((total, samples) => total + (samples[index]?.[key] ?? 0), 0)
    const numArrived = all.reduce(
      (total, samples) => total + ((samples[index] ?? samples.at(-1))?.numArrived ?? 0),
      0,
    )
    return {
      timeMs,
      numActive: sum('numActive'),
      lowerBound: sum('lowerBound'),
      numInSystem: sum('numInSystem'),
      numArrived,
      workingSets: [],
    }
  })
}
