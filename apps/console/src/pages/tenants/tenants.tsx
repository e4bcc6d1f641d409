import { Plus } from 'lucide-react'
import { useState } from 'react'
import { useQuery } from 'urql'
import { Link } from 'wouter'
import { type Column, DataTable } from '../../components/data-table.tsx'
import { Empty } from '../../components/empty.tsx'
import { PageHead } from '../../components/page-head.tsx'
import { PageFoot, usePaging } from '../../components/pages.tsx'
import { QueryView } from '../../components/query-view.tsx'
import { SearchField } from '../../components/search-field.tsx'
import { Tabs } from '../../components/tabs.tsx'
import { useUrlOrder, useUrlWord } from '../../components/use-url-state.ts'
import { formatCompact, formatCount, formatDate } from '../../format.ts'
import {
  type TenantOrderField,
  TenantsDocument,
  type TenantsQuery,
} from '../../generated/graphql.ts'
import { AuditLog } from './audit-log.tsx'
import { CreateTenantDialog } from './create-tenant-dialog.tsx'
import { Usage } from './usage.tsx'

type Row = TenantsQuery['tenants']['edges'][number]['node']

const pageSize = 50
const fields = ['SLUG', 'NAME', 'CREATED_AT', 'TRAFFIC'] as const

const orNone = (limit: number | null): string => (limit === null ? '—' : formatCount(limit))

const columns: Column<Row, TenantOrderField>[] = [
  {
    title: 'Tenant',
    field: 'SLUG',
    cell: ({ slug, suspended }) => (
      <>
        <Link href={`/tenants/${slug}`}>{slug}</Link>{' '}
        {suspended && <span className="tag bad">Suspended</span>}
      </>
    ),
  },
  { title: 'Name', field: 'NAME', cell: ({ name }) => name },
  {
    title: 'Requests, 24 h',
    isNumber: true,
    cell: ({ traffic }) => formatCompact(traffic.requests),
  },
  {
    title: 'Tokens, 24 h',
    field: 'TRAFFIC',
    isNumber: true,
    cell: ({ traffic }) => formatCompact(traffic.promptTokens + traffic.generatedTokens),
  },
  { title: 'Weight', isNumber: true, isExtra: true, cell: ({ weight }) => weight },
  {
    title: 'Requests at a time',
    isNumber: true,
    isExtra: true,
    cell: ({ maxConcurrentRequests }) => orNone(maxConcurrentRequests),
  },
  {
    title: 'Tokens a minute',
    isNumber: true,
    isExtra: true,
    cell: ({ maxTokensPerMinute }) => orNone(maxTokensPerMinute),
  },
  {
    title: 'Created',
    field: 'CREATED_AT',
    isExtra: true,
    cell: ({ createdAt }) => <span className="quiet">{formatDate(createdAt)}</span>,
  },
]

/** Every tenant, what all of them use, and who did what. */
export const TenantsPage = () => {
  const [isCreating, setIsCreating] = useState(false)
  return (
    <>
      <PageHead title="Tenants">
        <button type="button" className="button primary" onClick={() => setIsCreating(true)}>
          <Plus size={14} aria-hidden />
          Create a tenant
        </button>
      </PageHead>
      <Tabs
        label="Tenants"
        tabs={[
          { name: 'tenants', title: 'Tenants', render: () => <TenantTable /> },
          { name: 'usage', title: 'Usage', render: () => <Usage tenant={null} /> },
          { name: 'audit', title: 'Audit log', render: () => <AuditLog tenant={null} /> },
        ]}
      />
      {isCreating && <CreateTenantDialog onClose={() => setIsCreating(false)} />}
    </>
  )
}

const TenantTable = () => {
  const [search, setSearch] = useUrlWord('search')
  const [order, setOrder] = useUrlOrder(fields, { field: 'SLUG', direction: 'ASC' })
  const paging = usePaging(`${search} ${order.field} ${order.direction}`, pageSize)
  const query = useQuery({
    query: TenantsDocument,
    variables: {
      search: search === '' ? null : search,
      orderBy: order,
      first: pageSize,
      after: paging.after,
    },
  })
  return (
    <div className="panel">
      <div className="table-tools">
        <SearchField label="Search by name" value={search} onChange={setSearch} />
      </div>
      <QueryView query={query}>
        {({ tenants: { edges, totalCount, pageInfo } }) =>
          edges.length === 0 ? (
            <Empty title={search === '' ? 'There is no tenant yet' : 'No tenant is called so'}>
              {search === '' && 'Create one, then a key for it.'}
            </Empty>
          ) : (
            <>
              <DataTable
                label="Tenants"
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
  )
}
