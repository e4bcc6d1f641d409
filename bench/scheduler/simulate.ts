import { type ClusterOptions, type Router, simulate } from './cluster.ts'
import { createEventLog } from './event-log.ts'
import { capacityOf } from './load.ts'
import { createPolicy, schedulerOptions } from './policies.ts'
import { createPools } from './pools.ts'
import { type Run, toTable, writeReport } from './report.ts'
import { parseSettings, type Settings, usage } from './settings.ts'

/** Batch limits that the scheduler packs to, and shares of the GPUs that least-loaded has. */
const frontierLimits = [16, 20, 24, 28, 30, 31, 32]
const frontierShares = [0.5625, 0.625, 0.75, 0.875, 1]
const maxFrontierLoad = 0.95

const runOne = (
  settings: Settings,
  policy: string,
  cluster: ClusterOptions = settings.cluster,
  logPath: string | null = null,
): Run => {
  const { trace, numPools } = settings
  const create = (): Router => createPolicy(policy, settings.pace)
  const router = numPools === 1 ? create() : createPools(numPools, create)
  const options = schedulerOptions(policy, settings.pace)
  const log = logPath === null || options === undefined ? null : createEventLog(logPath, options)
  const startMs = performance.now()
  const outcome = simulate(trace, router, cluster, log === null ? {} : { onDecision: log.write })
  log?.close()
  const seconds = (performance.now() - startMs) / 1e3
  const perSecond = Math.round(outcome.numEvents / seconds)
  const { numNodes, engine } = cluster
  const { maxBatchSize } = engine
  console.error(
    `${policy} on ${numNodes} GPUs, batch limit ${maxBatchSize}: ${outcome.numRequests} requests in ${seconds.toFixed(1)} s, ${perSecond} events/s`,
  )
  return { policy, numNodes, maxBatchSize, outcome }
}

/** Leaves out what could not serve the trace in the mean. */
const runFrontier = (settings: Settings): Run[] => {
  const { cluster, meanRate, lengths } = settings
  const limits = frontierLimits.map((maxBatchSize) => ({
    policy: 'consolidating',
    cluster: { ...cluster, engine: { ...cluster.engine, maxBatchSize } },
  }))
  const shares = frontierShares.map((share) => ({
    policy: 'least-loaded',
    cluster: { ...cluster, numNodes: Math.ceil(share * cluster.numNodes) },
  }))
  return [...limits, ...shares]
    .filter(({ cluster: { numNodes, engine } }) => {
      const capacity = numNodes * capacityOf(engine, lengths)
      return meanRate === null || meanRate <= maxFrontierLoad * capacity
    })
    .map(({ policy, cluster: changed }) => runOne(settings, policy, changed))
}

const main = (args: readonly string[]): void => {
  if (args.includes('--help')) {
    console.log(usage)
    return
  }
  const settings = parseSettings(args)
  const runs = settings.policies.map((policy, index) =>
    runOne(settings, policy, settings.cluster, index === 0 ? settings.recordPath : null),
  )
  const frontier = settings.isFrontier ? runFrontier(settings) : []
  writeReport(settings, runs, frontier)
  console.log(toTable(runs))
}

try {
  main(process.argv.slice(2))
} catch (cause) {
  console.error(cause instanceof Error ? cause.message : cause)
  process.exitCode = 2
}
