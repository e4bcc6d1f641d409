import { useMemo } from 'react'
import { LineChart } from '../../charts/line-chart.tsx'
import type { Sample } from './use-cluster.ts'

const series = [
  { name: 'Ready', tone: 'edge', isDashed: true },
  { name: 'Active', tone: 'accent-fill', isFilled: true },
  { name: 'Lower bound', tone: 'warn' },
] as const

const height = 190

/** How near the cluster keeps to the fewest GPUs that could hold its load. */
export const ActivityChart = ({ samples }: { samples: readonly Sample[] }) => {
  const data = useMemo(
    () => ({
      times: samples.map(({ atMs }) => atMs / 1000),
      values: [
        samples.map(({ totals }) => totals.readyNodes),
        samples.map(({ totals }) => totals.activeNodes),
        samples.map(({ totals }) => totals.lowerBoundNodes),
      ],
    }),
    [samples],
  )
  const last = samples.at(-1)?.totals
  return (
    <LineChart
      label={
        last === undefined
          ? 'Active GPUs over time'
          : `Active GPUs over time: now ${last.activeNodes} active, ${last.lowerBoundNodes} at least needed, ${last.readyNodes} ready`
      }
      series={series}
      data={data}
      height={height}
      windowSeconds={120}
      isStepped
    />
  )
}
