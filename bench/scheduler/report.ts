import { mkdirSync, writeFileSync } from 'node:fs'
import type { Outcome } from './cluster.ts'
import { releaseAfterMs } from './metrics.ts'
import { schedulerOptions } from './policies.ts'
import type { Settings } from './settings.ts'
import { heatMap, lineChart, type Panel, scatterChart, toSvg } from './svg.ts'

export type Run = { policy: string; numNodes: number; maxBatchSize: number; outcome: Outcome }

const folder = new URL('../../docs/benchmarks/', import.meta.url)

/** Writes the table, the plots and the numbers of one simulation to docs/benchmarks. */
export const writeReport = (
  settings: Settings,
  runs: readonly Run[],
  frontier: readonly Run[],
): void => {
  mkdirSync(folder, { recursive: true })
  const write = (extension: string, content: string): void =>
    writeFileSync(new URL(`${settings.name}.${extension}`, folder), content)
  write('md', toMarkdown(settings, runs, frontier))
  write('svg', toSvg(toPanels(settings, runs, frontier)))
  write('json', `${JSON.stringify(toJson(settings, runs, frontier), null, 1)}\n`)
}

type Column = readonly [string, (run: Run) => string]

const columns: readonly Column[] = [
  ['policy', ({ policy }) => policy],
  ['GPU-hours', ({ outcome }) => outcome.gpuHours.toFixed(2)],
  ['held', ({ outcome }) => outcome.heldGpuHours.toFixed(2)],
  ['active', ({ outcome }) => outcome.meanActive.toFixed(2)],
  ['lower bound', ({ outcome }) => outcome.meanLowerBound.toFixed(2)],
  ['most', ({ outcome }) => String(outcome.maxActive)],
  ['TTFT p50', ({ outcome }) => outcome.ttftP50Ms.toFixed(1)],
  ['TTFT p99', ({ outcome }) => outcome.ttftP99Ms.toFixed(1)],
  ['ITL p50', ({ outcome }) => outcome.itlP50Ms.toFixed(2)],
  ['ITL p99', ({ outcome }) => outcome.itlP99Ms.toFixed(2)],
  ['moves', ({ outcome }) => String(outcome.numMoved)],
  ['evictions', ({ outcome }) => String(outcome.numEvicted)],
  ['re-prefilled', ({ outcome }) => String(outcome.numRefilledTokens)],
  ['refused', ({ outcome }) => String(outcome.numRefused)],
]

const frontierColumns: readonly Column[] = [
  ['policy', ({ policy }) => policy],
  ['GPUs', ({ numNodes }) => String(numNodes)],
  ['batch limit', ({ maxBatchSize }) => String(maxBatchSize)],
  ...columns.filter(([name]) =>
    ['GPU-hours', 'held', 'ITL p50', 'ITL p99', 'TTFT p99'].includes(name),
  ),
]

/** A table as Markdown, which is good enough for a terminal too. */
export const toTable = (runs: readonly Run[], chosen: readonly Column[] = columns): string => {
  const row = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`
  return [
    row(chosen.map(([name]) => name)),
    row(chosen.map((_, index) => (index === 0 ? '---' : '---:'))),
    ...runs.map((run) => row(chosen.map(([, cell]) => cell(run)))),
  ].join('\n')
}

const toMarkdown = (settings: Settings, runs: readonly Run[], frontier: readonly Run[]): string => {
  const { trace, cluster, meanRate, load, seed, name, numPools, pace } = settings
  const { stepTime, maxBatchSize, maxStepTokens, targetStepMs } = cluster.engine
  const first = runs[0]?.outcome
  const rate =
    meanRate === null || load === null
      ? 'Its arrivals are those of the log.'
      : `Mean rate ${meanRate.toFixed(2)} requests/s, ${(100 * load).toFixed(0)} % of what the GPUs serve with full batches.`
  return `# Simulation: ${trace.name}

${toSentence(trace.description)}
${cluster.numNodes} GPUs, at most ${maxBatchSize} sequences and ${maxStepTokens} rows a step${targetStepMs === null ? '' : ` of which prompts get what keeps it below ${targetStepMs} ms`}, ${(trace.durationMs / 60_000).toFixed(0)} minutes, seed ${seed}.
${first === undefined ? '' : `${first.numRequests} requests, ${first.numTokens} tokens generated.`}
${rate}
${numPools === 1 ? 'One pool.' : `${numPools} pools, each with a scheduler of its own.`}${paceText(pace)}
Step times are those of ${stepTime.model} on ${stepTime.device}; bench/scheduler/README.md says where each number comes from.

${toTable(runs)}

${comparison(runs)}
Times are in milliseconds of simulated time, as a client sees them: a move counts as the gap that it makes.
GPU-hours count a GPU while it has a request; held ones count it for ${releaseAfterMs / 1_000} s more, since no GPU can be given back at once.
The lower bound is the mean of ceil(requests in the system / batch limit).
Made by \`npm run -w bench simulate -- ${settings.args.join(' ')}\`.

![GPUs and requests over time](${name}.svg)
${frontier.length === 0 ? '' : frontierText(frontier)}`
}

const paceText = ({ targetInterTokenMs, packInterTokenMs }: Settings['pace']): string =>
  [
    targetInterTokenMs === null
      ? ''
      : ` The scheduler places nothing that would make a step longer than ${targetInterTokenMs} ms.`,
    packInterTokenMs === null
      ? ''
      : ` The scheduler packs up to steps of ${packInterTokenMs} ms, and spreads what is more.`,
  ].join('')

const toSentence = (text: string): string => `${text.charAt(0).toUpperCase()}${text.slice(1)}.`

/** The two goals, told whichever way they came out. */
const comparison = (runs: readonly Run[]): string => {
  const find = (name: string) => runs.find(({ policy }) => policy === name)?.outcome
  const spread = find('least-loaded')
  const lines = runs
    .filter(({ policy }) => isScheduler(policy))
    .map(({ policy, outcome }) => {
      const above = outcome.meanActive - outcome.meanLowerBound
      const active = `${policy}: mean active GPUs are ${above.toFixed(2)} above the lower bound.`
      if (spread === undefined) return active
      const saved = 100 * (1 - outcome.gpuHours / spread.gpuHours)
      const savedHeld = 100 * (1 - outcome.heldGpuHours / spread.heldGpuHours)
      const pace = 100 * (outcome.itlP99Ms / spread.itlP99Ms - 1)
      return `${active}\nAgainst least-loaded it takes ${saved.toFixed(1)} % fewer GPU-hours (held: ${savedHeld.toFixed(1)} %), with a p99 inter-token time ${Math.abs(pace).toFixed(1)} % ${pace >= 0 ? 'longer' : 'shorter'}.`
    })
  return lines.join('\n')
}

/** Those that run packages/scheduler. */
const isScheduler = (policy: string): boolean => schedulerOptions(policy, {}) !== undefined

const frontierText = (frontier: readonly Run[]): string => `
## At equal pace

Packing makes steps longer, so GPU-hours are only comparable at the same inter-token time.
Here the scheduler packs to several batch limits, and least-loaded placement runs on several numbers of GPUs.

${toTable(frontier, frontierColumns)}

${frontier
  .filter(isSpread)
  .map((spread) => equalPace(spread, frontier))
  .join('\n')}
`

const isSpread = ({ policy }: Run): boolean => policy === 'least-loaded'

/** Buckets of the histogram are two per mille wide: what differs by less is equal. */
const tolerance = 1.002

/** A cluster whose requests wait longer than this for their first token is too small for its load. */
const maxTtftMs = 1_000

const keepsUp = ({ outcome }: Run): boolean => outcome.ttftP99Ms <= maxTtftMs

/** The cheapest packing that is no slower than this run of least-loaded placement. */
const equalPace = (spread: Run, frontier: readonly Run[]): string => {
  const { itlP99Ms, gpuHours } = spread.outcome
  const where = `Least-loaded on ${spread.numNodes} GPUs`
  if (!keepsUp(spread))
    return `${where} does not keep up: its p99 time to first token is above 1 s.`
  const [best] = frontier
    .filter((run) => !isSpread(run) && keepsUp(run))
    .filter((run) => run.outcome.itlP99Ms <= tolerance * itlP99Ms)
    .sort((a, b) => a.outcome.gpuHours - b.outcome.gpuHours)
  const stated = `${where} has a p99 of ${itlP99Ms.toFixed(2)} ms for ${gpuHours.toFixed(2)} GPU-hours`
  if (best === undefined) return `${stated}: no packing of the table that keeps up is as fast.`
  const saved = 100 * (1 - best.outcome.gpuHours / gpuHours)
  return `${stated}; packing to ${best.maxBatchSize} is as fast for ${best.outcome.gpuHours.toFixed(2)}, ${Math.abs(saved).toFixed(1)} % ${saved >= 0 ? 'less' : 'more'}.`
}

const toPanels = (
  { trace, cluster }: Settings,
  runs: readonly Run[],
  frontier: readonly Run[],
): Panel[] => {
  const lastMs = Math.max(...runs.map(({ outcome }) => outcome.samples.at(-1)?.timeMs ?? 0))
  const time = lastMs < 180_000 ? { unit: 'seconds', ms: 1e3 } : { unit: 'minutes', ms: 60e3 }
  const first = runs[0]
  const points = ({ outcome }: Run, key: 'numActive' | 'lowerBound') =>
    outcome.samples.map((sample) => [sample.timeMs / time.ms, sample[key]] as const)
  const activity = lineChart({
    title: `${trace.name}: GPUs with requests`,
    xLabel: time.unit,
    yLabel: 'GPUs with requests',
    series: runs.map((run) => ({ name: run.policy, points: points(run, 'numActive') })),
    ...(first === undefined
      ? {}
      : { reference: { name: 'lower bound', points: points(first, 'lowerBound') } }),
  })
  const maps = runs
    .filter((run) => isScheduler(run.policy) || isSpread(run))
    .filter(({ outcome }) => (outcome.samples[0]?.workingSets.length ?? 0) > 0)
    .map(({ policy, outcome }) =>
      heatMap({
        title: `${policy}: requests on each GPU`,
        xLabel: time.unit,
        xMax: (outcome.samples.at(-1)?.timeMs ?? 0) / time.ms,
        yLabel: 'GPUs',
        valueLabel: 'requests',
        rows: toRows(outcome),
        max: cluster.engine.maxBatchSize,
      }),
    )
  return [
    activity,
    arrivalRate(first, time),
    ...maps,
    ...(frontier.length === 0 ? [] : [frontierChart(frontier)]),
  ]
}

/** The highest id first, which is the GPU that gets work first. */
const toRows = ({ samples }: Outcome): number[][] => {
  const numNodes = samples[0]?.workingSets.length ?? 0
  return Array.from({ length: numNodes }, (_, row) =>
    samples
      .filter((_, index) => index % 2 === 0)
      .map(({ workingSets }) => workingSets[numNodes - 1 - row] ?? 0),
  )
}

const arrivalRate = (run: Run | undefined, time: { unit: string; ms: number }): Panel => {
  const samples = run?.outcome.samples ?? []
  const points = samples.flatMap(({ timeMs, numArrived }, index) => {
    const before = samples[index - 1]
    if (before === undefined || timeMs === before.timeMs) return []
    const perSecond = (1e3 * (numArrived - before.numArrived)) / (timeMs - before.timeMs)
    return [[timeMs / time.ms, perSecond] as const]
  })
  return lineChart({
    title: 'Arrivals',
    xLabel: time.unit,
    yLabel: 'requests per second',
    series: [{ name: 'arrivals', points }],
  })
}

const frontierChart = (frontier: readonly Run[]): Panel => {
  const policies = [...new Set(frontier.map(({ policy }) => policy))]
  return scatterChart({
    title: 'GPU-hours against p99 inter-token time',
    xLabel: 'GPU-hours (at a dot: the batch limit packed to, or the GPUs spread over)',
    yLabel: 'p99 inter-token time, ms',
    series: policies.map((name) => {
      const own = frontier.filter(({ policy }) => policy === name)
      return {
        name,
        points: own.map(({ outcome }) => [outcome.gpuHours, outcome.itlP99Ms] as const),
        labels: own.map((run) => String(isSpread(run) ? run.numNodes : run.maxBatchSize)),
      }
    }),
  })
}

const toJson = (settings: Settings, runs: readonly Run[], frontier: readonly Run[]) => {
  const { trace, cluster, meanRate, load, seed, numPools, pace } = settings
  const { stepTime, ...engine } = cluster.engine
  const short = ({ outcome: { samples: _, totals: __, ...numbers }, ...run }: Run) => ({
    ...run,
    ...numbers,
  })
  return {
    trace: trace.name,
    description: trace.description,
    durationMs: trace.durationMs,
    seed,
    meanRate,
    load,
    numPools,
    ...pace,
    cluster: { ...cluster, engine: { ...engine, stepTime: stepTime.device } },
    runs: runs.map((run) => ({
      ...short(run),
      active: run.outcome.samples.map(({ numActive }) => numActive),
      lowerBounds: run.outcome.samples.map(({ lowerBound }) => lowerBound),
    })),
    frontier: frontier.map(short),
  }
}
