import { useQuery } from 'urql'
import { type Column, DataTable } from '../../components/data-table.tsx'
import { Empty } from '../../components/empty.tsx'
import { PageFoot, usePaging } from '../../components/pages.tsx'
import { QueryView } from '../../components/query-view.tsx'
import { SearchField } from '../../components/search-field.tsx'
import { useUrlWord } from '../../components/use-url-state.ts'
import { formatDateTime } from '../../format.ts'
import { AuditEventsDocument, type AuditEventsQuery } from '../../generated/graphql.ts'

type Row = AuditEventsQuery['auditEvents']['edges'][number]['node']

const pageSize = 50

const columns: Column<Row, never>[] = [
  { title: 'When', cell: ({ at }) => <span className="number">{formatDateTime(at)}</span> },
  { title: 'Action', cell: ({ action }) => <code>{action}</code> },
  { title: 'Target', cell: ({ target }) => target ?? '—' },
  { title: 'Tenant', isExtra: true, cell: ({ tenant }) => tenant ?? '—' },
  { title: 'By', isExtra: true, cell: ({ actor }) => <code>{actor}</code> },
  {
    title: 'As',
    isExtra: true,
    cell: ({ role }) => role.toLowerCase().replace('_', ' '),
  },
  {
    title: 'Outcome',
    cell: ({ outcome }) => (
      <span className={outcome === 'ok' ? 'tag good' : 'tag bad'}>{outcome}</span>
    ),
  },
]

const orNull = (word: string): string | null => (word === '' ? null : word)

/** Every administrative act, refused ones too, newest first. */
export const AuditLog = ({ tenant }: { tenant: string | null }) => {
  const [action, setAction] = useUrlWord('action')
  const [actor, setActor] = useUrlWord('actor')
  const paging = usePaging(`${tenant} ${action} ${actor}`, pageSize)
  const query = useQuery({
    query: AuditEventsDocument,
    variables: {
      filter: { tenant, action: orNull(action), actor: orNull(actor) },
      first: pageSize,
      after: paging.after,
    },
  })
  return (
    <div className="panel">
      <div className="table-tools">
        <SearchField label="Action, such as revokeApiKey" value={action} onChange={setAction} />
        <SearchField label="Prefix of the key that did it" value={actor} onChange={setActor} />
      </div>
      <QueryView query={query}>
        {({ auditEvents: { edges, pageInfo } }) =>
          edges.length === 0 ? (
            <Empty title="Nothing was done">No act is like that.</Empty>
          ) : (
            <>
              <DataTable
                label="Audit log"
                columns={columns}
                rows={edges.map(({ node }) => node)}
                keyOf={({ id }) => id}
              />
              <PageFoot paging={paging} numRows={edges.length} total={null} pageInfo={pageInfo} />
            </>
          )
        }
      </QueryView>
    </div>
  )
}
