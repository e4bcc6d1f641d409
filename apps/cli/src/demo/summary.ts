import { align } from '../terminal/table.ts'
import type { DemoAdapter } from './adapters.ts'
import type { Result } from './board.ts'

export type Run = { results: readonly Result[]; durationMs: number; baseModel: string }

/** The short table at the end: each adapter, then all of it together. */
export const summarise = ({ results, durationMs, baseModel }: Run): string => {
  const adapters = [...new Set(results.map(({ job }) => job.adapter))]
  const tenants = new Set(adapters.map(({ tenant }) => tenant))
  const numTokens = sum(results.map((result) => result.numTokens))
  const firsts = results.map(({ firstTokenMs }) => firstTokenMs)
  const numOver = (face: string): number =>
    results.filter(({ job }) => job.adapter.face === face).length
  const facts = [
    [
      'requests',
      `${results.length}, all answered: ${numOver('HTTP')} over HTTP, ${numOver('NATS')} over NATS`,
    ],
    ['adapters', `${adapters.length} of ${tenants.size} tenants on one copy of ${baseModel}`],
    [
      'in one batch',
      `${Math.max(...results.map((r) => r.maxAdapters))} different adapters at most`,
    ],
    ['placement', describePlacement(results)],
    [
      'speed',
      `${Math.round((numTokens / durationMs) * 1000)} tokens/s (${numTokens} new tokens in ${(durationMs / 1000).toFixed(1)} s)`,
    ],
    [
      'first token',
      `after ${Math.round(median(firsts))} ms (median), ${Math.round(Math.max(...firsts))} ms at most`,
    ],
  ]
  const table = align([
    ['adapter', 'tenant', 'face', 'requests', 'as expected', 'tokens', 'first token'],
    ...adapters.map((adapter) => toRow(adapter, results)),
  ])
  return [...table, '', ...align(facts)].join('\n')
}

const toRow = (adapter: DemoAdapter, all: readonly Result[]): string[] => {
  const results = all.filter(({ job }) => job.adapter === adapter)
  const checked = results.filter(({ job }) => job.expected !== null)
  const right = checked.filter(({ job, text }) => text.trim() === job.expected?.trim())
  return [
    adapter.name,
    adapter.tenant,
    adapter.face,
    String(results.length),
    checked.length === 0 ? 'free text' : `${right.length} of ${checked.length}`,
    String(sum(results.map(({ numTokens }) => numTokens))),
    `${Math.round(median(results.map(({ firstTokenMs }) => firstTokenMs)))} ms`,
  ]
}

const describePlacement = (results: readonly Result[]): string => {
  const nodeIds = [...new Set(results.flatMap((result) => result.nodeIds))].toSorted()
  const counts = nodeIds.map((nodeId) => {
    const count = results.filter((result) => result.nodeIds.at(-1) === nodeId).length
    return `${nodeId}: ${count}`
  })
  const numMoved = results.filter((result) => result.nodeIds.length > 1).length
  return numMoved === 0 ? counts.join(', ') : `${counts.join(', ')} (${numMoved} moved)`
}

const sum = (numbers: readonly number[]): number => numbers.reduce((total, n) => total + n, 0)

const median = (numbers: readonly number[]): number =>
  numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? 0
