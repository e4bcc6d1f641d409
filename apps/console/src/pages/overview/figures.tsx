import type { ReactNode } from 'react'
import { Sparkline } from '../../components/sparkline.tsx'
import { formatCompact, formatCount, formatMs } from '../../format.ts'
import type { Latency, Totals } from './totals.ts'
import type { Sample } from './use-cluster.ts'

/** Two minutes of them. */
const numShown = 240

type Props = { totals: Totals; samples: readonly Sample[] }

/** The handful of numbers by which one judges the cluster, each with what it was lately. */
export const Figures = ({ totals, samples }: Props) => {
  const shown = samples.slice(-numShown)
  const over = (read: (totals: Totals) => number | null): number[] =>
    shown.map((sample) => read(sample.totals) ?? 0)
  const saved = totals.gpuSecondsSaved
  return (
    <dl className="figures panel">
      <Figure
        name="Active GPUs"
        value={formatCount(totals.activeNodes)}
        more={`of ${formatCount(totals.readyNodes)} · at least ${formatCount(totals.lowerBoundNodes)} needed`}
        values={over(({ activeNodes }) => activeNodes)}
      />
      <Figure
        name="Throughput"
        value={formatCompact(totals.tokensPerSecond)}
        more="tokens a second"
        values={over(({ tokensPerSecond }) => tokensPerSecond)}
      />
      <Figure
        name="Running"
        value={formatCompact(totals.runningRequests)}
        more={
          totals.queuedRequests === null
            ? 'requests'
            : `requests · ${formatCount(totals.queuedRequests)} wait`
        }
        values={over(({ runningRequests }) => runningRequests)}
      />
      <LatencyFigure
        name="First token"
        latency={totals.timeToFirstTokenMs}
        values={over(({ timeToFirstTokenMs }) => timeToFirstTokenMs?.p50 ?? null)}
      />
      <LatencyFigure
        name="Between tokens"
        latency={totals.interTokenMs}
        values={over(({ interTokenMs }) => interTokenMs?.p50 ?? null)}
      />
      <Figure
        name="GPU time saved"
        value={saved === null ? '—' : formatGpuTime(saved)}
        more="against spreading the load"
        values={over(({ gpuSecondsSaved }) => gpuSecondsSaved)}
      />
    </dl>
  )
}

type FigureProps = { name: string; value: string; more: ReactNode; values: readonly number[] }

const Figure = ({ name, value, more, values }: FigureProps) => (
  <div className="figure">
    <dt className="quiet">{name}</dt>
    <dd>
      <span className="figure-value number">{value}</span>
      <span className="quiet small figure-more">{more}</span>
      <Sparkline values={values} />
    </dd>
  </div>
)

type LatencyProps = { name: string; latency: Latency | null; values: readonly number[] }

const LatencyFigure = ({ name, latency, values }: LatencyProps) => (
  <Figure
    name={name}
    value={latency === null ? '—' : formatMs(latency.p50)}
    more={latency === null ? 'nothing in half a minute' : `median · p99 ${formatMs(latency.p99)}`}
    values={values}
  />
)

/** GPU-hours, and minutes while there is less than one. */
const formatGpuTime = (seconds: number): string => {
  if (Math.abs(seconds) < 3_600) return `${(seconds / 60).toFixed(1)} min`
  return `${(seconds / 3_600).toFixed(1)} h`
}
