import type { UsageTotalsQuery } from '../generated/graphql.ts'

export type UsageTotal = UsageTotalsQuery['usageTotals'][number]

export type Span = 'day' | 'week' | 'month'

/** How long each span is, and by what it is summed. */
export const spans = {
  day: { title: '24 hours', hours: 24, by: 'HOUR' },
  week: { title: '7 days', hours: 7 * 24, by: 'HOUR' },
  month: { title: '30 days', hours: 30 * 24, by: 'DAY' },
} as const

const hourMs = 3_600_000

/** From the start of an hour (of a day, where days are summed) to the end of this hour. */
export const rangeOf = (span: Span, now: Date): { from: string; to: string } => {
  const { hours, by } = spans[span]
  const to = Math.floor(now.getTime() / hourMs) * hourMs + hourMs
  const from = to - hours * hourMs
  const start = by === 'DAY' ? Math.floor(from / (24 * hourMs)) * 24 * hourMs : from
  return { from: new Date(start).toISOString(), to: new Date(to).toISOString() }
}

export type UsageSeries = { times: number[]; prompt: number[]; generated: number[] }

/** The totals of hours or days with nothing between them as zero; times in seconds since 1970. */
export const toSeries = (
  totals: readonly UsageTotal[],
  { from, to }: { from: string; to: string },
  by: 'HOUR' | 'DAY',
): UsageSeries => {
  const step = by === 'HOUR' ? hourMs : 24 * hourMs
  const known = new Map(totals.map((total) => [new Date(total.key).getTime(), total]))
  const series: UsageSeries = { times: [], prompt: [], generated: [] }
  for (let at = new Date(from).getTime(); at < new Date(to).getTime(); at += step) {
    const total = known.get(at)
    series.times.push(at / 1000)
    series.prompt.push(total?.promptTokens ?? 0)
    series.generated.push(total?.generatedTokens ?? 0)
  }
  return series
}

/** The sums over all of them, and the means of their latencies (ms; null: of nothing). */
export const sumUsage = (totals: readonly UsageTotal[]) => {
  const sum = (of: (total: UsageTotal) => number): number =>
    totals.reduce((before, total) => before + of(total), 0)
  const numTimed = sum(({ latency }) => latency.requests)
  const numGaps = sum(({ latency }) => latency.tokenGaps)
  const firstMs = sum(({ latency }) => latency.requests * (latency.firstTokenMs ?? 0))
  const gapMs = sum(({ latency }) => latency.tokenGaps * (latency.tokenGapMs ?? 0))
  return {
    requests: sum(({ requests }) => requests),
    promptTokens: sum(({ promptTokens }) => promptTokens),
    generatedTokens: sum(({ generatedTokens }) => generatedTokens),
    firstTokenMs: numTimed === 0 ? null : firstMs / numTimed,
    tokenGapMs: numGaps === 0 ? null : gapMs / numGaps,
  }
}
