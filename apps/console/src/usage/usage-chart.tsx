import { useMemo } from 'react'
import { LineChart } from '../charts/line-chart.tsx'
import type { UsageSeries } from './series.ts'

const series = [
  { name: 'Generated tokens', tone: 'accent-fill', isFilled: true },
  { name: 'Prompt tokens', tone: 'edge' },
] as const

const height = 200

/** Tokens over time. */
export const UsageChart = ({ usage, label }: { usage: UsageSeries; label: string }) => {
  const data = useMemo(
    () => ({ times: usage.times, values: [usage.generated, usage.prompt] }),
    [usage],
  )
  return <LineChart label={label} series={series} data={data} height={height} isStepped />
}
