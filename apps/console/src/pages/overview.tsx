import { gql, useSubscription } from 'urql'
import { Problem } from '../components/problem.tsx'

type Node = {
  id: string
  pool: string
  state: string
  requests: number
  maxBatchSize: number
  numPages: number
  freePages: number
  kvPages: number
  adapterPages: number
  adaptersInBatch: number
  tokensPerSecond: number
}

const ClusterState = gql<{ clusterState: { nodes: Node[] } }, Record<string, never>>`
  subscription ClusterState {
    clusterState {
      nodes {
        id
        pool
        state
        requests
        maxBatchSize
        numPages
        freePages
        kvPages
        adapterPages
        adaptersInBatch
        tokensPerSecond
      }
    }
  }
`

/** Each GPU as a cell: its working set against its limit, its memory, its distinct adapters. */
export const OverviewPage = () => {
  const [live] = useSubscription({ query: ClusterState })
  const nodes = live.data?.clusterState.nodes
  if (nodes === undefined) {
    return live.error === undefined ? <p>Loading…</p> : <Problem error={live.error} />
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
      {node.adaptersInBatch} adapters in the batch · {Math.round(node.tokensPerSecond)} tokens/s
    </p>
  </li>
)
