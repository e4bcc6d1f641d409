import { useState } from 'react'
import { useSubscription } from 'urql'
import { ClusterStateDocument } from '../../generated/graphql.ts'
import { type Cluster, type Totals, toTotals } from './totals.ts'

/** One moment of the cluster, for the lines over time. */
export type Sample = { atMs: number; totals: Totals }

/** Half an hour at two samples a second. */
const maxSamples = 3_600

/** The newest state of the cluster and how it came there since the page was opened. */
export const useCluster = (pool: string | null) => {
  const [history, setHistory] = useState<{ pool: string | null; samples: Sample[] }>({
    pool,
    samples: [],
  })
  const [{ data, error }] = useSubscription(
    { query: ClusterStateDocument, variables: { pool } },
    (_, newest): { clusterState: Cluster } => {
      const { at, pools } = newest.clusterState
      const sample = { atMs: new Date(at).getTime(), totals: toTotals(pools) }
      setHistory((before) => ({
        pool,
        samples:
          before.pool === pool ? [...before.samples.slice(1 - maxSamples), sample] : [sample],
      }))
      return newest
    },
  )
  return { cluster: data?.clusterState, error, samples: history.samples }
}
