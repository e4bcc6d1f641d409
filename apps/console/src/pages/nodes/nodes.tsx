import { Plus } from 'lucide-react'
import { useState } from 'react'
import { useQuery } from 'urql'
import { Link } from 'wouter'
import { type Column, DataTable } from '../../components/data-table.tsx'
import { Empty } from '../../components/empty.tsx'
import { Meter } from '../../components/meter.tsx'
import { PageHead } from '../../components/page-head.tsx'
import { PageFoot, usePaging } from '../../components/pages.tsx'
import { QueryView } from '../../components/query-view.tsx'
import { SearchField } from '../../components/search-field.tsx'
import { usePoll } from '../../components/use-poll.ts'
import { useUrlChoice, useUrlOrder, useUrlWord } from '../../components/use-url-state.ts'
import { formatAgo, formatCompact, formatShare } from '../../format.ts'
import { type NodeOrderField, NodesDocument, type NodesQuery } from '../../generated/graphql.ts'
import { JoinDialog } from './join-dialog.tsx'
import { NodeActions } from './node-actions.tsx'
import { NodeState } from './node-state.tsx'

type Row = NodesQuery['nodes']['edges'][number]['node']

const pageSize = 100
const pollMs = 2_000
const fields = ['ID', 'REQUESTS', 'FREE_PAGES', 'LAST_SEEN_AT'] as const
const states = ['READY', 'STARTING', 'DRAINING', 'FAILED', 'LOST'] as const
const stateNames = {
  READY: 'Ready',
  STARTING: 'Starting',
  DRAINING: 'Stopping',
  FAILED: 'Failed',
  LOST: 'Lost',
} as const

const columns: Column<Row, NodeOrderField>[] = [
  {
    title: 'Node',
    field: 'ID',
    cell: ({ id }) => <Link href={`/nodes/${id}`}>{id}</Link>,
  },
  { title: 'State', cell: (node) => <NodeState {...node} /> },
  {
    title: 'Requests',
    field: 'REQUESTS',
    isNumber: false,
    cell: ({ requests, maxBatchSize }) => (
      <Meter
        label="Working set"
        parts={[{ value: requests }]}
        max={maxBatchSize}
        text={`${requests}/${maxBatchSize}`}
      />
    ),
  },
  {
    title: 'Memory',
    field: 'FREE_PAGES',
    isExtra: true,
    cell: ({ kvPages, adapterPages, numPages }) => (
      <Meter
        label="Memory: KV cache and adapters"
        parts={[
          { value: kvPages, tone: 'quiet' },
          { value: adapterPages, tone: 'edge' },
        ]}
        max={numPages}
        text={formatShare(numPages === 0 ? 0 : (kvPages + adapterPages) / numPages)}
      />
    ),
  },
  {
    title: 'Adapters',
    isNumber: true,
    isExtra: true,
    cell: ({ adaptersInBatch }) => adaptersInBatch,
  },
  {
    title: 'Tokens/s',
    isNumber: true,
    isExtra: true,
    cell: ({ tokensPerSecond }) => formatCompact(tokensPerSecond),
  },
  { title: 'Pool', isExtra: true, cell: ({ pool }) => pool },
  {
    title: 'Hardware',
    isExtra: true,
    cell: ({ description }) => <span className="quiet hardware">{description}</span>,
  },
  {
    title: 'Last seen',
    field: 'LAST_SEEN_AT',
    isExtra: true,
    cell: ({ lastSeenAt }) => <span className="quiet">{formatAgo(lastSeenAt)}</span>,
  },
  { title: 'Actions', cell: (node) => <NodeActions node={node} /> },
]

/** Every node with what it holds, and what an operator can do with it. */
export const NodesPage = () => {
  const [search, setSearch] = useUrlWord('search')
  const [state, setState] = useUrlChoice('state', states)
  const [order, setOrder] = useUrlOrder(fields, { field: 'ID', direction: 'ASC' })
  const [isJoining, setIsJoining] = useState(false)
  const paging = usePaging(`${search} ${state} ${order.field} ${order.direction}`, pageSize)
  const query = useQuery({
    query: NodesDocument,
    variables: {
      search: search === '' ? null : search,
      state,
      orderBy: order,
      first: pageSize,
      after: paging.after,
    },
  })
  usePoll(query[1], pollMs)
  return (
    <>
      <PageHead title="Nodes" note="GPUs with their engines, as they last reported.">
        <button type="button" className="button" onClick={() => setIsJoining(true)}>
          <Plus size={14} aria-hidden />
          Add a node
        </button>
      </PageHead>
      <div className="panel">
        <div className="table-tools">
          <SearchField label="Search by name or hardware" value={search} onChange={setSearch} />
          <select
            className="select"
            aria-label="State"
            value={state ?? ''}
            onChange={({ target }) =>
              setState(states.find((name) => name === target.value) ?? null)
            }
          >
            <option value="">Any state</option>
            {states.map((name) => (
              <option key={name} value={name}>
                {stateNames[name]}
              </option>
            ))}
          </select>
        </div>
        <QueryView query={query}>
          {({ nodes: { edges, totalCount, pageInfo } }) =>
            edges.length === 0 ? (
              <NoNodes isFiltered={search !== '' || state !== null} />
            ) : (
              <>
                <DataTable
                  label="Nodes"
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
      {isJoining && <JoinDialog onClose={() => setIsJoining(false)} />}
    </>
  )
}

const NoNodes = ({ isFiltered }: { isFiltered: boolean }) =>
  isFiltered ? (
    <Empty title="No node is like that">Search for less, or choose any state.</Empty>
  ) : (
    <Empty title="No node has reported yet">
      Start one with <code>punica up</code>, or add one with a join token.
    </Empty>
  )
