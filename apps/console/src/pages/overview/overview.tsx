import { Suspense } from 'react'
import { useSearchParams } from 'wouter'
import { Empty } from '../../components/empty.tsx'
import { lazily } from '../../components/lazily.tsx'
import { ProblemNote } from '../../components/problem-note.tsx'
import { Skeleton } from '../../components/skeleton.tsx'
import { toProblem } from '../../connection/problem.ts'
import { Decisions } from './decisions.tsx'
import { describe } from './describe.ts'
import { Figures } from './figures.tsx'
import { GpuMap } from './gpu-map.tsx'
import { Legend } from './legend.tsx'
import { type Cluster, toTotals } from './totals.ts'
import { type Sample, useCluster } from './use-cluster.ts'
import './overview.css'

const ActivityChart = lazily(async () => (await import('./activity-chart.tsx')).ActivityChart)

/** What the cluster is doing, at a glance, and why, a look further down. */
export const OverviewPage = () => {
  const [params, setParams] = useSearchParams()
  const pool = params.get('pool')
  const { cluster, error, samples } = useCluster(pool)
  return (
    <>
      {error !== undefined && <ProblemNote problem={toProblem(error)} />}
      {cluster === undefined ? (
        error === undefined && <Skeleton />
      ) : (
        <View
          cluster={cluster}
          samples={samples}
          pool={pool}
          onPool={(chosen) => setParams(chosen === '' ? {} : { pool: chosen })}
        />
      )}
    </>
  )
}

type Props = {
  cluster: Cluster
  samples: readonly Sample[]
  pool: string | null
  onPool: (pool: string) => void
}

const View = ({ cluster: { pools, nodes }, samples, pool, onPool }: Props) => {
  const totals = toTotals(pools)
  const { headline, remarks } = describe(totals, nodes)
  return (
    <>
      <header className="overview-head">
        <h1>{headline}</h1>
        {remarks.length > 0 && <p className="quiet">{remarks.join(' ')}</p>}
      </header>
      <Figures totals={totals} samples={samples} />
      <div className="overview-columns">
        <div className="stack">
          <section className="panel" aria-labelledby="gpus">
            <header className="panel-head">
              <h2 id="gpus">GPUs</h2>
              <PoolChoice pools={pools.map(({ name }) => name)} pool={pool} onPool={onPool} />
              <Legend />
            </header>
            <div className="panel-body">
              {nodes.length === 0 ? (
                <Empty title="No node has reported yet">
                  Start one with <code>punica up</code>, or let one join by a token.
                </Empty>
              ) : (
                <GpuMap gpus={nodes} />
              )}
            </div>
          </section>
          <section className="panel" aria-labelledby="activity">
            <header className="panel-head">
              <h2 id="activity">Active GPUs over time</h2>
            </header>
            <div className="panel-body activity">
              <Suspense fallback={null}>
                <ActivityChart samples={samples} />
              </Suspense>
            </div>
          </section>
        </div>
        <Decisions pool={pool} />
      </div>
    </>
  )
}

type ChoiceProps = { pools: readonly string[]; pool: string | null; onPool: (pool: string) => void }

const PoolChoice = ({ pools, pool, onPool }: ChoiceProps) =>
  pools.length < 2 && pool === null ? null : (
    <select
      className="select pool-choice"
      aria-label="Pool"
      value={pool ?? ''}
      onChange={(event) => onPool(event.target.value)}
    >
      <option value="">All pools</option>
      {[...new Set([...pools, ...(pool === null ? [] : [pool])])].map((name) => (
        <option key={name}>{name}</option>
      ))}
    </select>
  )
