import { Upload } from 'lucide-react'
import { useState } from 'react'
import { useQuery } from 'urql'
import { Link } from 'wouter'
import { type Column, DataTable } from '../../components/data-table.tsx'
import { Empty } from '../../components/empty.tsx'
import { PageHead } from '../../components/page-head.tsx'
import { PageFoot, usePaging } from '../../components/pages.tsx'
import { QueryView } from '../../components/query-view.tsx'
import { SearchField } from '../../components/search-field.tsx'
import { useUrlOrder, useUrlWord } from '../../components/use-url-state.ts'
import { formatBytes, formatCompact, formatCount, formatDate } from '../../format.ts'
import {
  type AdapterOrderField,
  AdaptersDocument,
  type AdaptersQuery,
} from '../../generated/graphql.ts'
import { useRights } from '../../session/context.tsx'
import { Shares } from './shares.tsx'
import { UploadDialog } from './upload/upload-dialog.tsx'

type Row = AdaptersQuery['adapters']['edges'][number]['node']

const pageSize = 50
const fields = ['NAME', 'CREATED_AT', 'TRAFFIC'] as const

const columns: Column<Row, AdapterOrderField>[] = [
  {
    title: 'Adapter',
    field: 'NAME',
    cell: ({ tenant, name, archivedAt }) => (
      <>
        <Link href={`/adapters/${tenant.slug}/${name}`}>{name}</Link>{' '}
        {archivedAt !== null && <span className="tag">Archived</span>}
      </>
    ),
  },
  { title: 'Tenant', cell: ({ tenant }) => tenant.slug },
  {
    title: 'Served',
    cell: ({ versions }) => <Shares shares={versions} />,
  },
  {
    title: 'Rank',
    isNumber: true,
    isExtra: true,
    cell: ({ versions: [newest] }) => newest?.rank ?? '—',
  },
  {
    title: 'Size',
    isNumber: true,
    isExtra: true,
    cell: ({ versions: [newest] }) => (newest === undefined ? '—' : formatBytes(newest.sizeBytes)),
  },
  {
    title: 'Requests, 24 h',
    isNumber: true,
    isExtra: true,
    cell: ({ traffic }) => formatCompact(traffic.requests),
  },
  {
    title: 'Tokens, 24 h',
    field: 'TRAFFIC',
    isNumber: true,
    isExtra: true,
    cell: ({ traffic }) => formatCompact(traffic.promptTokens + traffic.generatedTokens),
  },
  { title: 'Base model', isExtra: true, cell: ({ baseModel }) => baseModel },
  {
    title: 'Created',
    field: 'CREATED_AT',
    isExtra: true,
    cell: ({ createdAt }) => <span className="quiet">{formatDate(createdAt)}</span>,
  },
]

/** The adapters that the key may see, however many there are. */
export const AdaptersPage = () => {
  const { isOperator, ownTenant, mayAdminister } = useRights()
  const [search, setSearch] = useUrlWord('search')
  const [tenant, setTenant] = useUrlWord('tenant')
  const [order, setOrder] = useUrlOrder(fields, { field: 'NAME', direction: 'ASC' })
  const [isUploading, setIsUploading] = useState(false)
  const paging = usePaging(`${search} ${tenant} ${order.field} ${order.direction}`, pageSize)
  const query = useQuery({
    query: AdaptersDocument,
    variables: {
      tenant: tenant === '' ? null : tenant,
      search: search === '' ? null : search,
      orderBy: order,
      first: pageSize,
      after: paging.after,
    },
  })
  const [{ data }] = query
  const mayUpload = isOperator || (ownTenant !== null && mayAdminister(ownTenant))
  return (
    <>
      <PageHead
        title="Adapters"
        note={data == null ? '\u00a0' : `${formatCount(data.adapters.totalCount)} in all`}
      >
        {mayUpload && (
          <button type="button" className="button primary" onClick={() => setIsUploading(true)}>
            <Upload size={14} aria-hidden />
            Upload an adapter
          </button>
        )}
      </PageHead>
      <div className="panel">
        <div className="table-tools">
          <SearchField label="Search by name" value={search} onChange={setSearch} />
          {isOperator && <SearchField label="Tenant" value={tenant} onChange={setTenant} />}
        </div>
        <QueryView query={query}>
          {({ adapters: { edges, totalCount, pageInfo } }) =>
            edges.length === 0 ? (
              <NoAdapters isFiltered={search !== '' || tenant !== ''} mayUpload={mayUpload} />
            ) : (
              <>
                <DataTable
                  label="Adapters"
                  columns={columns}
                  rows={edges.map(({ node }) => node)}
                  keyOf={({ id }) => id}
                  order={order}
                  onOrder={setOrder}
                />
                <PageFoot
                  paging={paging}
                  numRows={edges.length}
                  total={totalCount}
                  pageInfo={pageInfo}
                />
              </>
            )
          }
        </QueryView>
      </div>
      {isUploading && <UploadDialog onClose={() => setIsUploading(false)} />}
    </>
  )
}

const NoAdapters = ({ isFiltered, mayUpload }: { isFiltered: boolean; mayUpload: boolean }) =>
  isFiltered ? (
    <Empty title="No adapter is like that">Search for less.</Empty>
  ) : (
    <Empty title="There is no adapter yet">
      {mayUpload
        ? 'Upload the folder that PEFT’s save_pretrained has written.'
        : 'An admin of the tenant can upload one.'}
    </Empty>
  )
