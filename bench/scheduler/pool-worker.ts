// Simulates some pools of a cluster in a process of its own; pool-workers.ts starts it.
import { simulatePools } from './pools.ts'
import { parseSettings } from './settings.ts'

/** The settings as on the command line, and what differs from them. */
export type PoolJob = {
  readonly args: readonly string[]
  readonly policy: string
  readonly numNodes: number
  readonly maxBatchSize: number
  readonly pools: readonly number[]
}

process.once('message', ({ args, policy, numNodes, maxBatchSize, pools }: PoolJob) => {
  const { trace, pace, numPools, cluster: given } = parseSettings(args)
  const cluster = { ...given, numNodes, engine: { ...given.engine, maxBatchSize } }
  const outcome = simulatePools({ trace, policy, pace, cluster, numPools }, pools)
  process.send?.(outcome, () => process.disconnect())
})
