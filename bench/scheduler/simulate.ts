import { type ClusterOptions, type Outcome, simulate } from './cluster.ts'
import { createEventLog } from './event-log.ts'
import { capacityOf } from './load.ts'
import { createPolicy, schedulerOptions } from './policies.ts'
import { runPools } from './pool-workers.ts'
import { type Run, toTable, writeReport } from './report.ts'
import { parseSettings, type Settings, usage } from './settings.ts'

/** Batch limits that the scheduler packs to, and shares of the GPUs that least-loaded has. */
const frontierLimits = [16, 20, 24, 28, 32]
const frontierShares = [0.5625, 0.625, 0.75, 0.875, 1]
const maxFrontierLoad = 0.95

const runOne = async (
  settings: Settings,
  policy: string,
  cluster: ClusterOptions = settings.cluster,
  logPath: string | null = null,
): Promise<Run> => {
  const { trace, numPools, pace, args } = settings
  const { numNodes, engine } = cluster
  const { maxBatchSize } = engine
  const startMs = performance.now()
  const outcome =
    numPools > 1
      ? await runPools({ args, policy, numNodes, maxBatchSize }, numPools)
      : simulateLogged(trace, policy, { pace, cluster, logPath })
  const seconds = (performance.now() - startMs) / 1e3
  const perSecond = Math.round(outcome.numEvents / seconds)
  console.error(
    `${policy} on ${numNodes} GPUs, batch limit ${maxBatchSize}: ${outcome.numRequests} requests in ${seconds.toFixed(1)} s, ${perSecond} events/s`,
  )
  return { policy, numNodes, maxBatchSize, outcome }
}

type Choice = Pick<Settings, 'pace' | 'cluster'> & { logPath: string | null }

const simulateLogged = (
  trace: Settings['trace'],
  policy: string,
  { pace, cluster, logPath }: Choice,
): Outcome => {
  const options = schedulerOptions(policy, pace)
  const log = logPath === null || options === undefined ? null : createEventLog(logPath, options)
  const observer = log === null ? {} : { onDecision: log.write }
  const outcome = simulate(trace, createPolicy(policy, pace), cluster, observer)
  log?.close()
  return outcome
}

/** Leaves out what could not serve the trace in the mean. */
const runFrontier = async (settings: Settings): Promise<Run[]> => {
  const { cluster, meanRate, lengths } = settings
  const limits = frontierLimits.map((maxBatchSize) => ({
    policy: 'consolidating',
    cluster: { ...cluster, engine: { ...cluster.engine, maxBatchSize } },
  }))
  const shares = frontierShares.map((share) => ({
    policy: 'least-loaded',
    cluster: { ...cluster, numNodes: Math.ceil(share * cluster.numNodes) },
  }))
  const chosen = [...limits, ...shares].filter(({ cluster: { numNodes, engine } }) => {
    const capacity = numNodes * capacityOf(engine, lengths)
    return meanRate === null || meanRate <= maxFrontierLoad * capacity
  })
  const runs: Run[] = []
  for (const { policy, cluster: changed } of chosen) {
    runs.push(await runOne(settings, policy, changed))
  }
  return runs
}

const main = async (args: readonly string[]): Promise<void> => {
  if (args.includes('--help')) {
    console.log(usage)
    return
  }
  const settings = parseSettings(args)
  const runs: Run[] = []
  for (const [index, policy] of settings.policies.entries()) {
    const logPath = index === 0 ? settings.recordPath : null
    runs.push(await runOne(settings, policy, settings.cluster, logPath))
  }
  const frontier = settings.isFrontier ? await runFrontier(settings) : []
  writeReport(settings, runs, frontier)
  console.log(toTable(runs))
}

try {
  await main(process.argv.slice(2))
} catch (cause) {
  console.error(cause instanceof Error ? cause.message : cause)
  process.exitCode = 2
}
