import { useMemo } from 'react'
import { LineChart } from '../../charts/line-chart.tsx'
import type { BatchSample } from './use-timeline.ts'

const series = [
  { name: 'Sequences', tone: 'accent-fill', isFilled: true },
  { name: 'Distinct adapters', tone: 'warn' },
] as const

const height = 190

/** Sequences and distinct adapters of a node's steps over time. */
export const BatchTimeline = ({ samples }: { samples: readonly BatchSample[] }) => {
  const data = useMemo(
    () => ({
      times: samples.map(({ atMs }) => atMs / 1000),
      values: [samples.map(({ batchSize }) => batchSize), samples.map(({ adapters }) => adapters)],
    }),
    [samples],
  )
  const last = samples.at(-1)
  return (
    <LineChart
      label={`Batches over time: now ${last?.batchSize ?? 0} sequences with ${last?.adapters ?? 0} distinct adapters`}
      series={series}
      data={data}
      height={height}
      windowSeconds={120}
      isStepped
    />
  )
}
