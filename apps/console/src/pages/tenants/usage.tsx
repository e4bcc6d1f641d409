import { Download } from 'lucide-react'
import { useState } from 'react'
import { useQuery } from 'urql'
import { type Column, DataTable } from '../../components/data-table.tsx'
import { Empty } from '../../components/empty.tsx'
import { Panel } from '../../components/panel.tsx'
import { ProblemNote } from '../../components/problem-note.tsx'
import { QueryView } from '../../components/query-view.tsx'
import type { Problem } from '../../connection/problem.ts'
import { formatCompact, shortDigest } from '../../format.ts'
import { UsageTotalsDocument } from '../../generated/graphql.ts'
import { useSession } from '../../session/context.tsx'
import { saveUsageCsv } from '../../usage/csv.ts'
import type { Span, UsageTotal } from '../../usage/series.ts'
import { SpanChoice, UsageView, useRange } from '../../usage/usage-view.tsx'

/** What a tenant (or, null, everybody) used: over time, and by adapter or by tenant. */
export const Usage = ({ tenant }: { tenant: string | null }) => {
  const [span, setSpan] = useState<Span>('day')
  return (
    <>
      <Panel
        title="Tokens"
        tools={
          <>
            <SpanChoice span={span} onSpan={setSpan} />
            <CsvButton tenant={tenant} span={span} />
          </>
        }
      >
        <UsageView tenant={tenant} digest={null} span={span} />
      </Panel>
      <Breakdown tenant={tenant} span={span} />
    </>
  )
}

type Props = { tenant: string | null; span: Span }

const Breakdown = ({ tenant, span }: Props) => {
  const range = useRange(span)
  const by = tenant === null ? 'TENANT' : 'ADAPTER'
  const query = useQuery({
    query: UsageTotalsDocument,
    variables: { filter: { tenant, ...range }, by },
  })
  return (
    <Panel title={tenant === null ? 'By tenant' : 'By adapter'} isFlush>
      <QueryView query={query}>
        {({ usageTotals }) =>
          usageTotals.length === 0 ? (
            <Empty title="Nothing was used" />
          ) : (
            <DataTable
              label={tenant === null ? 'Usage by tenant' : 'Usage by adapter'}
              columns={by === 'TENANT' ? tenantColumns : adapterColumns}
              rows={usageTotals.slice(0, maxRows)}
              keyOf={({ key }) => key}
            />
          )
        }
      </QueryView>
    </Panel>
  )
}

/** Beyond it the CSV file serves better. */
const maxRows = 200

const amounts: Column<UsageTotal, never>[] = [
  { title: 'Requests', isNumber: true, cell: ({ requests }) => formatCompact(requests) },
  {
    title: 'Generated tokens',
    isNumber: true,
    cell: ({ generatedTokens }) => formatCompact(generatedTokens),
  },
  {
    title: 'Prompt tokens',
    isNumber: true,
    cell: ({ promptTokens }) => formatCompact(promptTokens),
  },
]

const tenantColumns: Column<UsageTotal, never>[] = [
  { title: 'Tenant', cell: ({ key }) => key },
  ...amounts,
]

const adapterColumns: Column<UsageTotal, never>[] = [
  {
    title: 'Adapter',
    cell: ({ key, name }) =>
      key === '' ? 'base model' : (name ?? <code title={key}>{shortDigest(key)}</code>),
  },
  {
    title: 'Digest',
    isExtra: true,
    cell: ({ key }) => (key === '' ? '—' : <code title={key}>{shortDigest(key)}</code>),
  },
  ...amounts,
]

const CsvButton = ({ tenant, span }: Props) => {
  const { key } = useSession().session
  const range = useRange(span)
  const [problem, setProblem] = useState<Problem | null>(null)
  return (
    <>
      <button
        type="button"
        className="button"
        onClick={async () => setProblem(await saveUsageCsv(key, { tenant, ...range }))}
      >
        <Download size={14} aria-hidden />
        CSV
      </button>
      {problem !== null && <ProblemNote problem={problem} />}
    </>
  )
}
