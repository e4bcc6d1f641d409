import { gql, useQuery, useSubscription } from 'urql'
import { Problem } from '../components/problem.tsx'

type Node = {
  id: string
  pool: string
  state: string
  reason: string | null
  description: string
  requests: number
  maxBatchSize: number
  numPages: number
  freePages: number
  kvPages: number
  adapterPages: number
  adaptersInBatch: number
  generatedTokens: number
}

const fields = gql`
  fragment NodeFields on GpuNode {
    id
    pool
    state
    reason
    description
    requests
    maxBatchSize
    numPages
    freePages
    kvPages
    adapterPages
    adaptersInBatch
    generatedTokens
  }
`

const Nodes = gql<{ nodes: Node[] }, Record<string, never>>`
  query Nodes {
    nodes {
      ...NodeFields
    }
  }
  ${fields}
`

const NodesChanged = gql<{ nodesChanged: Node[] }, Record<string, never>>`
  subscription NodesChanged {
    nodesChanged {
      ...NodeFields
    }
  }
  ${fields}
`

/** Each GPU as a cell: its working set against its limit, its memory, its distinct adapters. */
export const OverviewPage = () => {
  const [query] = useQuery({ query: Nodes })
  const [live] = useSubscription({ query: NodesChanged })
  const nodes = live.data?.nodesChanged ?? query.data?.nodes
  if (nodes === undefined) {
    return query.error === undefined ? <p>Loading…</p> : <Problem error={query.error} />
  }
  const ready = nodes.filter(({ state }) => state === 'READY')
  const active = ready.filter(({ requests }) => requests > 0)
  return (
    <>
      <h1>Overview</h1>
      <p aria-live="polite">
        {active.length} of {ready.length} ready GPUs active,{' '}
        {nodes.reduce((sum, { requests }) => sum + requests, 0)} requests running
      </p>
      {nodes.length === 0 && <p>No node has reported yet. Start one with `punica up`.</p>}
      <ul className="cells">
        {nodes.map((node) => (
          <NodeCell key={node.id} node={node} />
        ))}
      </ul>
    </>
  )
}

const NodeCell = ({ node }: { node: Node }) => (
  <li className={`cell ${node.state.toLowerCase()}`}>
    <h2>{node.id}</h2>
    <p>
      {node.state.toLowerCase()} · pool {node.pool}
    </p>
    <label>
      Working set {node.requests}/{node.maxBatchSize}
      <meter min={0} max={node.maxBatchSize} value={node.requests} />
    </label>
    <label>
      Memory {node.kvPages} KV + {node.adapterPages} adapter pages of {node.numPages}
      <meter min={0} max={node.numPages} value={node.kvPages + node.adapterPages} />
    </label>
    <p>
      {node.adaptersInBatch} adapters in the batch · {node.generatedTokens.toLocaleString('en')}{' '}
      tokens made
    </p>
    <p className="small">{node.reason ?? node.description}</p>
  </li>
)
