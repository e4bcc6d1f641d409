import { Suspense, useMemo } from 'react'
import { useQuery } from 'urql'
import { Facts } from '../components/facts.tsx'
import { lazily } from '../components/lazily.tsx'
import { QueryView } from '../components/query-view.tsx'
import { formatCompact, formatMs } from '../format.ts'
import { UsageTotalsDocument } from '../generated/graphql.ts'
import { rangeOf, type Span, spans, sumUsage, toSeries, type UsageTotal } from './series.ts'

const UsageChart = lazily(async () => (await import('./usage-chart.tsx')).UsageChart)

type Props = {
  /** null: the caller's own tenant, or all for an operator. */
  tenant: string | null
  /** Of one adapter version; null: of all. */
  digest: string | null
  span: Span
}

/** The time that a view is about; it stands still while the view is open. */
export const useRange = (span: Span) => useMemo(() => rangeOf(span, new Date()), [span])

/** What was used over a span: the sums, and the tokens over time. */
export const UsageView = ({ tenant, digest, span }: Props) => {
  const range = useRange(span)
  const { by } = spans[span]
  const query = useQuery({
    query: UsageTotalsDocument,
    variables: { filter: { tenant, adapterDigest: digest, ...range }, by },
  })
  return (
    <QueryView query={query}>
      {({ usageTotals }) => <View totals={usageTotals} range={range} by={by} />}
    </QueryView>
  )
}

type ViewProps = {
  totals: readonly UsageTotal[]
  range: { from: string; to: string }
  by: 'HOUR' | 'DAY'
}

const View = ({ totals, range, by }: ViewProps) => {
  const usage = useMemo(() => toSeries(totals, range, by), [totals, range, by])
  const { requests, promptTokens, generatedTokens, firstTokenMs, tokenGapMs } = sumUsage(totals)
  return (
    <div className="stack">
      <Facts
        facts={[
          ['Requests', formatCompact(requests)],
          ['Generated tokens', formatCompact(generatedTokens)],
          ['Prompt tokens', formatCompact(promptTokens)],
          ['Time to first token', firstTokenMs === null ? '—' : formatMs(firstTokenMs)],
          ['Between tokens', tokenGapMs === null ? '—' : formatMs(tokenGapMs)],
        ]}
      />
      <div className="timeline">
        <Suspense fallback={null}>
          <UsageChart
            usage={usage}
            label={`Tokens over time: ${formatCompact(generatedTokens)} generated, ${formatCompact(promptTokens)} of prompts`}
          />
        </Suspense>
      </div>
    </div>
  )
}

/** Chooses the span of a view. */
export const SpanChoice = ({ span, onSpan }: { span: Span; onSpan: (span: Span) => void }) => (
  <fieldset className="segments">
    <legend className="unseen">Time span</legend>
    {Object.entries(spans).map(([name, { title }]) => (
      <button
        key={name}
        type="button"
        className="segment"
        aria-pressed={span === name}
        onClick={() => onSpan(name === 'day' || name === 'week' ? name : 'month')}
      >
        {title}
      </button>
    ))}
  </fieldset>
)
