import { Suspense } from 'react'
import { useQuery } from 'urql'
import { Link, useLocation } from 'wouter'
import { type Column, DataTable } from '../../components/data-table.tsx'
import { Empty } from '../../components/empty.tsx'
import { Facts } from '../../components/facts.tsx'
import { lazily } from '../../components/lazily.tsx'
import { PageHead } from '../../components/page-head.tsx'
import { Panel } from '../../components/panel.tsx'
import { QueryView } from '../../components/query-view.tsx'
import { usePoll } from '../../components/use-poll.ts'
import {
  formatAgo,
  formatBytes,
  formatCompact,
  formatCount,
  formatMs,
  formatShare,
  plural,
  shortDigest,
} from '../../format.ts'
import { NodeDocument, type NodeQuery } from '../../generated/graphql.ts'
import { NodeActions } from './node-actions.tsx'
import { NodeState } from './node-state.tsx'
import { useTimeline } from './use-timeline.ts'

const BatchTimeline = lazily(async () => (await import('./batch-timeline.tsx')).BatchTimeline)

type Node = NonNullable<NodeQuery['node']>

const pollMs = 1_000

/** One node: what it is, what its batches hold, which adapters are where, and what runs. */
export const NodePage = ({ id }: { id: string }) => {
  const query = useQuery({ query: NodeDocument, variables: { id } })
  usePoll(query[1], pollMs)
  return (
    <QueryView query={query}>
      {({ node }) =>
        node === null ? (
          <Empty title={`There is no node ${id}`}>
            It has left, or it was removed. <Link href="/nodes">All nodes</Link>
          </Empty>
        ) : (
          <View node={node} />
        )
      }
    </QueryView>
  )
}

const View = ({ node }: { node: Node }) => {
  const [, navigate] = useLocation()
  const timeline = useTimeline(node)
  return (
    <>
      <PageHead
        title={
          <span className="row">
            {node.id} <NodeState {...node} />
          </span>
        }
        note={node.reason ?? node.description}
      >
        <NodeActions
          node={node}
          isWide
          onDone={(name) => {
            if (name === 'remove') navigate('/nodes')
          }}
        />
      </PageHead>
      <Panel title="Now">
        <Facts facts={factsOf(node)} />
      </Panel>
      <Panel title="Batches">
        <div className="timeline">
          <Suspense fallback={null}>
            <BatchTimeline samples={timeline} />
          </Suspense>
        </div>
      </Panel>
      <Panel title={plural(node.runningRequests.length, 'request')} isFlush>
        {node.runningRequests.length === 0 ? (
          <Empty title="Nothing runs here" />
        ) : (
          <DataTable
            label="Requests"
            columns={requestColumns}
            rows={node.runningRequests}
            keyOf={({ requestId }) => requestId}
          />
        )}
      </Panel>
      <Panel title={plural(node.residentAdapters.length, 'resident adapter')} isFlush>
        {node.residentAdapters.length === 0 ? (
          <Empty title="No adapter is here">The first request for one brings it.</Empty>
        ) : (
          <DataTable
            label="Resident adapters"
            columns={adapterColumns}
            rows={byTier(node.residentAdapters)}
            keyOf={({ digest, tier }) => `${digest} ${tier}`}
          />
        )}
      </Panel>
    </>
  )
}

const factsOf = (node: Node): [string, string][] => {
  const { numPages, kvPages, adapterPages, freePages, bandwidthBytesPerSecond: bandwidth } = node
  const ofPages = (pages: number): string => formatShare(numPages === 0 ? 0 : pages / numPages)
  return [
    ['Requests', `${node.requests} of ${node.maxBatchSize}`],
    ['In the newest step', plural(node.batchSize, 'sequence')],
    ['Distinct adapters', formatCount(node.adaptersInBatch)],
    ['Step', formatMs(node.stepMs)],
    ['Tokens a second', formatCompact(node.tokensPerSecond)],
    ['Tokens made', formatCompact(node.generatedTokens)],
    ['Prompt tokens', formatCompact(node.promptTokens)],
    ['KV cache', ofPages(kvPages)],
    ['Adapter weights', ofPages(adapterPages)],
    ['Free', ofPages(freePages)],
    ['Page', `${formatBytes(node.pageBytes)}, ${plural(node.pageSize, 'token')}`],
    ['Memory', formatBytes(node.memoryBytes)],
    ['Bandwidth', bandwidth === null ? 'not measured' : `${formatBytes(bandwidth)}/s`],
    ['Backend', node.backend],
    ['Pool', node.pool],
    ['Base model', node.baseModel],
    ['Context', plural(node.maxContext, 'token')],
    ['Last seen', formatAgo(node.lastSeenAt)],
  ]
}

const requestColumns: Column<Node['runningRequests'][number], never>[] = [
  { title: 'Request', cell: ({ requestId }) => <code>{requestId}</code> },
  { title: 'Tenant', cell: ({ tenant }) => tenant ?? '—' },
  {
    title: 'Adapter',
    cell: ({ adapterDigest }) =>
      adapterDigest === null ? 'base model' : <code>{shortDigest(adapterDigest)}</code>,
  },
  {
    title: 'Tokens',
    isNumber: true,
    cell: ({ numTokens, maxTokens }) =>
      numTokens === null ? '—' : `${formatCount(numTokens)} of ${formatCount(maxTokens ?? 0)}`,
  },
  { title: 'Moves', isNumber: true, cell: ({ attempt }) => attempt },
]

type Resident = Node['residentAdapters'][number]

const tiers = ['device', 'host', 'disk']

const byTier = (adapters: readonly Resident[]): Resident[] =>
  [...adapters].sort(
    (a, b) => tiers.indexOf(a.tier) - tiers.indexOf(b.tier) || b.requests - a.requests,
  )

const adapterColumns: Column<Resident, never>[] = [
  { title: 'Digest', cell: ({ digest }) => <code title={digest}>{shortDigest(digest)}</code> },
  {
    title: 'Where',
    cell: ({ tier }) => <span className={tier === 'device' ? 'tag accent' : 'tag'}>{tier}</span>,
  },
  { title: 'Size', isNumber: true, cell: ({ sizeBytes }) => formatBytes(sizeBytes) },
  { title: 'Requests', isNumber: true, cell: ({ requests }) => requests },
]
