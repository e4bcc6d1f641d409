import { existsSync } from 'node:fs'
import { parseArgs } from 'node:util'
import type { ClusterOptions } from './cluster.ts'
import { traceOfLog } from './event-log.ts'
import { type Lengths, lengthsByName } from './lengths.ts'
import { capacityOf } from './load.ts'
import { type PaceChoice, policyNames } from './policies.ts'
import { readStepTime } from './step-time.ts'
import type { Trace } from './trace.ts'
import { createTrace, traceNames } from './traces.ts'

export const usage = `npm run -w bench simulate -- [options]
  --trace NAME        ${traceNames.join(', ')}, or a log that --record wrote (paper)
  --policies A,B      of ${policyNames.join(', ')} (all)
  --gpu NAME          h100 or a100, or the path of a step-time file (h100)
  --gpus N            GPUs of the cluster (16)
  --minutes N         length of the trace (60)
  --load X            mean request rate, as a share of what all GPUs serve with full batches (0.5)
  --peak-rate X       requests per second at the peak of the paper's ramp, in place of --load
  --lengths NAME      ${Object.keys(lengthsByName).join(' or ')} (sharegpt)
  --adapters N        adapters there are (10000)
  --tenants N         tenants that own them (20)
  --batch-limit N     sequences of one step (32)
  --step-tokens N     rows of one step (512)
  --target-step MS    step time that prefill chunks may not exceed while others decode (none)
  --target-itl MS     step time that the scheduler's placements may not exceed (none)
  --pack-itl MS       step time up to which the scheduler packs (none)
  --pools N           pools that the GPUs are divided into (1)
  --status-ms N       between two statuses of a node (250)
  --seed N            of arrivals, lengths and adapters (1)
  --frontier          also other batch limits and numbers of GPUs: GPU-hours against pace
  --record FILE       log of the first policy's events and commands, for replay
  --name NAME         of the files in docs/benchmarks (scheduler-TRACE)`

export type Settings = {
  readonly trace: Trace
  readonly policies: readonly string[]
  readonly cluster: ClusterOptions
  /** Requests per second; null for a recorded trace. */
  readonly meanRate: number | null
  readonly load: number | null
  readonly lengths: Lengths
  readonly pace: PaceChoice
  readonly numPools: number
  readonly seed: number
  readonly isFrontier: boolean
  readonly recordPath: string | null
  readonly name: string
  /** As given on the command line. */
  readonly args: readonly string[]
}

/** Turns the command line into settings. Throws an Error that says what is wrong. */
export const parseSettings = (args: readonly string[]): Settings => {
  const { values } = parseArgs({
    args: [...args],
    options: {
      trace: { type: 'string', default: 'paper' },
      policies: { type: 'string', default: policyNames.join(',') },
      gpu: { type: 'string', default: 'h100' },
      gpus: { type: 'string', default: '16' },
      minutes: { type: 'string', default: '60' },
      load: { type: 'string', default: '0.5' },
      'peak-rate': { type: 'string' },
      lengths: { type: 'string', default: 'sharegpt' },
      adapters: { type: 'string', default: '10000' },
      tenants: { type: 'string', default: '20' },
      'batch-limit': { type: 'string', default: '32' },
      'step-tokens': { type: 'string', default: '512' },
      'target-step': { type: 'string' },
      'target-itl': { type: 'string' },
      'pack-itl': { type: 'string' },
      pools: { type: 'string', default: '1' },
      'status-ms': { type: 'string', default: '250' },
      seed: { type: 'string', default: '1' },
      frontier: { type: 'boolean', default: false },
      record: { type: 'string' },
      name: { type: 'string' },
    },
  })
  const number = (name: string, text: string): number => {
    const value = Number(text)
    if (Number.isFinite(value) && value > 0) return value
    throw new Error(`--${name}: ${text} is not a positive number`)
  }
  const optional = (
    name: 'peak-rate' | 'target-itl' | 'pack-itl' | 'target-step',
  ): number | null => {
    const text = values[name]
    return text === undefined ? null : number(name, text)
  }
  const lengths = lengthsByName[values.lengths]
  if (lengths === undefined) throw new Error(`--lengths: ${values.lengths} is not known`)
  const policies = values.policies.split(',')
  const unknown = policies.find((policy) => !policyNames.includes(policy))
  if (unknown !== undefined) throw new Error(`--policies: ${unknown} is not known`)

  const cluster = toCluster({
    gpu: values.gpu,
    numNodes: number('gpus', values.gpus),
    maxBatchSize: number('batch-limit', values['batch-limit']),
    maxStepTokens: number('step-tokens', values['step-tokens']),
    targetStepMs: optional('target-step'),
    statusIntervalMs: number('status-ms', values['status-ms']),
  })
  const numPools = number('pools', values.pools)
  if (values.record !== undefined && numPools > 1) throw new Error('--record: of one pool only')
  const seed = number('seed', values.seed)
  const meanRate = toMeanRate({
    peakRate: optional('peak-rate'),
    load: number('load', values.load),
    cluster,
    lengths,
  })
  const isDrawn = traceNames.includes(values.trace)
  if (!isDrawn && !existsSync(values.trace)) {
    throw new Error(
      `--trace: ${values.trace} is neither one of ${traceNames.join(', ')} nor a file`,
    )
  }
  const createDrawn = (): Trace =>
    createTrace(values.trace, {
      seed,
      durationMs: 60_000 * number('minutes', values.minutes),
      meanRate,
      numAdapters: number('adapters', values.adapters),
      lengths,
      bytesPerRank: cluster.engine.stepTime.adapterBytesPerRank,
      numTenants: number('tenants', values.tenants),
    })
  const trace = isDrawn ? createDrawn() : traceOfLog(values.trace)
  const capacity = capacityOf(cluster.engine, lengths) * cluster.numNodes
  return {
    trace,
    policies,
    cluster,
    meanRate: isDrawn ? meanRate : null,
    load: isDrawn ? meanRate / capacity : null,
    lengths,
    pace: {
      targetInterTokenMs: optional('target-itl'),
      packInterTokenMs: optional('pack-itl'),
    },
    numPools,
    seed,
    isFrontier: values.frontier,
    recordPath: values.record ?? null,
    name: values.name ?? `scheduler-${trace.name}`,
    args,
  }
}

type ClusterChoice = {
  gpu: string
  numNodes: number
  maxBatchSize: number
  maxStepTokens: number
  targetStepMs: number | null
  statusIntervalMs: number
}

const toCluster = (choice: ClusterChoice): ClusterOptions => {
  const isKnown = /^[a-z0-9]+$/.test(choice.gpu)
  const path = isKnown
    ? new URL(`step-time-${choice.gpu}-llama2-7b.json`, import.meta.url)
    : choice.gpu
  const { gpu: _, numNodes, statusIntervalMs, ...engine } = choice
  return {
    numNodes,
    numGateways: 4,
    engine: { stepTime: readStepTime(path), pageSize: 16, ...engine },
    latencyMs: 0.5,
    statusIntervalMs,
    tickIntervalMs: 300,
    numSamples: 240,
  }
}

type RateChoice = {
  peakRate: number | null
  load: number
  cluster: ClusterOptions
  lengths: Lengths
}

/** The paper's ramp has half its peak rate in the mean. */
const toMeanRate = ({ peakRate, load, cluster, lengths }: RateChoice): number =>
  peakRate !== null ? peakRate / 2 : load * cluster.numNodes * capacityOf(cluster.engine, lengths)
