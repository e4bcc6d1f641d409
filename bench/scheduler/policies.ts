import { createScheduler, type SchedulerOptions } from '@punica/scheduler'
import { type Candidate, type Choose, createBaseline } from './baseline.ts'
import type { Router } from './cluster.ts'

/** The settings of the policies that run packages/scheduler. */
const schedulers: Readonly<Record<string, Partial<SchedulerOptions>>> = {
  /** The paper's rules and no others. */
  punica: {},
  consolidating: { consolidationIntervalMs: 1_000 },
}

/** What packages/scheduler is told of the time between two tokens. */
export type PaceChoice = Pick<SchedulerOptions, 'targetInterTokenMs' | 'packInterTokenMs'>

/** Those of a policy that runs packages/scheduler; undefined for a baseline. */
export const schedulerOptions = (
  policy: string,
  pace: PaceChoice,
): SchedulerOptions | undefined => {
  const rules = schedulers[policy]
  if (rules === undefined) return undefined
  return {
    pool: 'default',
    baseModel: null,
    // Far more than any trace makes wait: what is measured is placement, not refusal.
    maxQueue: 10_000_000,
    heartbeatTimeoutMs: 3_000,
    maxRefusals: 5,
    ...pace,
    ...rules,
  }
}

const leastLoaded: Choose = (_, withRoom) => fewestRequests(withRoom)

const fewestRequests = (nodes: readonly Candidate[]): Candidate | undefined => {
  let best = nodes[0]
  for (const node of nodes) {
    if (best !== undefined && node.given.size < best.given.size) best = node
  }
  return best
}

/** Those that run the adapter come first, then those that have it in memory, then any. */
const adapterAffinity: Choose = ({ adapter }, withRoom) => {
  if (adapter === null) return fewestRequests(withRoom)
  const running = withRoom.filter(({ adapters }) => adapters.has(adapter.digest))
  if (running.length > 0) return fewestRequests(running)
  const holding = withRoom.filter(({ status }) =>
    status.adapters.some(({ digest }) => digest === adapter.digest),
  )
  return fewestRequests(holding.length > 0 ? holding : withRoom)
}

const createRoundRobin = (): Choose => {
  let last = -1
  return (_, withRoom) => {
    const next = withRoom.find(({ index }) => index > last) ?? withRoom[0]
    last = next?.index ?? last
    return next
  }
}

const baselines: Readonly<Record<string, () => Choose>> = {
  'least-loaded': () => leastLoaded,
  'round-robin': createRoundRobin,
  'adapter-affinity': () => adapterAffinity,
}

export const policyNames = [...Object.keys(schedulers), ...Object.keys(baselines)]

/** A new router. Throws for a name that is not one of `policyNames`. */
export const createPolicy = (name: string, pace: PaceChoice = {}): Router => {
  const options = schedulerOptions(name, pace)
  if (options !== undefined) return createScheduler(options)
  const createChoose = baselines[name]
  if (createChoose === undefined) throw new Error(`${name} is not one of ${policyNames.join(', ')}`)
  return createBaseline(createChoose())
}
