import type { EngineStats, StepReport } from '@punica/native-sgmv'
import type { NodeStatus } from '@punica/schema'
import type { Adapters } from './adapters/adapters.ts'
import type { Entry, Table } from './requests/table.ts'

/** A status lists no more than this of each. */
const maxListed = 4_096

export const createCounters = () => {
  const counters: NodeStatus['counters'] = {
    steps: 0,
    promptTokens: 0,
    generatedTokens: 0,
    maxAdaptersInBatch: 0,
    adaptersInBatch: 0,
    batchSize: 0,
    stepMs: 0,
  }
  return {
    values: (): NodeStatus['counters'] => ({ ...counters }),
    observe: (report: StepReport): void => {
      counters.steps++
      counters.promptTokens += report.numPrefillTokens
      counters.generatedTokens += report.tokens.length
      counters.maxAdaptersInBatch = Math.max(counters.maxAdaptersInBatch, report.numAdapters)
      counters.adaptersInBatch = report.numAdapters
      counters.batchSize = toBatchSize(report)
      counters.stepMs = report.durationMs
    },
  }
}

/**
 * Sequences of a step. Each decode row is one; of those that prefilled, the report only shows the
 * ones that reached their first token, so a step of unfinished chunks counts as one.
 */
export const toBatchSize = ({
  numDecodeRows,
  numPrefillTokens,
  tokens,
}: Pick<StepReport, 'numDecodeRows' | 'numPrefillTokens' | 'tokens'>): number =>
  Math.max(tokens.length, numDecodeRows + (numPrefillTokens > 0 ? 1 : 0))

export type Measured = Pick<
  NodeStatus,
  'pageSize' | 'pageBytes' | 'numPages' | 'freePages' | 'kvPages' | 'adapterPages' | 'adapters'
>

type Sources = {
  stats: EngineStats
  table: Pick<Table, 'list'>
  adapters: Pick<Adapters, 'list'>
  onDisk: readonly { digest: string; sizeBytes: number }[]
}

/** How full the node is. */
export const measure = ({ stats, table, adapters, onDisk }: Sources): Measured => {
  const tiers = listAdapters(stats, adapters.list(), onDisk)
  return {
    pageSize: stats.pageSize,
    pageBytes: stats.pageBytes,
    numPages: stats.numSlots,
    freePages: countFreePages(stats, table.list(), tiers),
    kvPages: stats.kvSlots,
    adapterPages: stats.adapterSlots,
    adapters: tiers.slice(0, maxListed),
  }
}

export const listRequests = (table: Pick<Table, 'list'>): NodeStatus['requests'] =>
  table
    .list()
    .slice(0, maxListed)
    .map(({ task, numGenerated }) => ({
      requestId: task.requestId,
      attempt: task.attempt,
      gatewayId: task.gatewayId,
      tenant: task.tenant,
      adapterDigest: task.adapter?.digest ?? null,
      numTokens: task.numPromptTokens + numGenerated,
      maxTokens: task.numPromptTokens + task.maxNewTokens,
    }))

/** Adapters by their best tier: those on the device first, the least useful last. */
const listAdapters = (
  stats: EngineStats,
  loaded: ReturnType<Adapters['list']>,
  onDisk: Sources['onDisk'],
): NodeStatus['adapters'] => {
  const states = new Map(stats.adapters.map((state) => [state.handle, state]))
  const inMemory = loaded.map(({ digest, handle, numHolders }) => {
    const state = states.get(handle)
    const tier = state?.resident === true ? ('device' as const) : ('host' as const)
    return { digest, tier, sizeBytes: state?.poolBytes ?? 0, requests: numHolders }
  })
  const known = new Set(inMemory.map(({ digest }) => digest))
  const rest = onDisk
    .filter(({ digest }) => !known.has(digest))
    .map(({ digest, sizeBytes }) => ({ digest, tier: 'disk' as const, sizeBytes, requests: 0 }))
  return [
    ...inMemory.filter(({ tier }) => tier === 'device'),
    ...inMemory.filter(({ tier }) => tier === 'host'),
    ...rest,
  ]
}

/**
 * Pages that no request needs. A request that has not begun here is counted in full though its
 * pages are not taken yet; for those that run, the pages really taken are the bound, since they may
 * share prefixes. Cached prefixes and idle adapters give way, so they count as free.
 */
const countFreePages = (
  { pageSize, pageBytes, numSlots, kvSlots }: EngineStats,
  entries: readonly Entry[],
  adapters: NodeStatus['adapters'],
): number => {
  let running = 0
  let waiting = 0
  const sizes = new Map(adapters.map(({ digest, sizeBytes }) => [digest, sizeBytes]))
  const inUse = new Map<string, number>()
  for (const { task, numGenerated, numGeneratedBefore } of entries) {
    const kv = Math.ceil((task.numPromptTokens + numGenerated + 1) / pageSize)
    if (numGenerated > numGeneratedBefore) running += kv
    else waiting += kv
    if (task.adapter === null) continue
    const { digest, sizeBytes } = task.adapter
    inUse.set(digest, sizes.get(digest) ?? sizeBytes)
  }
  let free = numSlots - Math.min(running, kvSlots) - waiting
  for (const sizeBytes of inUse.values()) free -= Math.ceil(sizeBytes / pageBytes)
  return Math.max(0, free)
}
