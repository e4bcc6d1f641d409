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
  const data = useMemo(() => {
    const [before, last] = usage.times.slice(-2)
    if (before === undefined || last === undefined) return { times: [], values: [[], []] }
    // The newest step is as wide as the others.
    const end = last + (last - before)
    const close = (values: readonly number[]): number[] => [...values, values.at(-1) ?? 0]
    return {
      times: [...usage.times, end],
      values: [close(usage.generated), close(usage.prompt)],
    }
  }, [usage])
  return <LineChart label={label} series={series} data={data} height={height} isStepped />
}
