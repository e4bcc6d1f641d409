import { useEffect, useRef } from 'react'
import uPlot from 'uplot'
import 'uplot/dist/uPlot.min.css'
import { formatCompact } from '../format.ts'
import './line-chart.css'
import { type Palette, usePalette } from './palette.ts'
import { useWidth } from './use-width.ts'

type Tone = Exclude<keyof Palette, 'font'>

type Series = { name: string; tone: Tone; isDashed?: boolean; isFilled?: boolean }

type Props = {
  /** What the chart shows, for those who do not see it. */
  label: string
  series: readonly Series[]
  /** Times in seconds since 1970, ascending; of each series a value for each time. */
  data: { times: readonly number[]; values: readonly (readonly (number | null)[])[] }
  height: number
  /** Shows at least so long a time, up to the newest value; absent: all there is. */
  windowSeconds?: number
  /** Values hold until the next one. */
  isStepped?: boolean
  format?: (value: number) => string
}

/** Lines over time, drawn by uPlot; for pages that load it when it is wanted. */
export const LineChart = ({
  label,
  series,
  data,
  height,
  windowSeconds = 0,
  isStepped = false,
  format = formatCompact,
}: Props) => {
  const [frame, width] = useWidth<HTMLDivElement>()
  const palette = usePalette()
  const plot = useRef<uPlot | null>(null)
  const newest = useRef(data)
  newest.current = data

  useEffect(() => {
    const { current } = frame
    if (current === null || width === 0) return
    const options = { series, palette, width, height, windowSeconds, isStepped, format }
    plot.current = new uPlot(toOptions(options), toData(newest.current), current)
    return () => plot.current?.destroy()
  }, [frame, series, palette, width, height, windowSeconds, isStepped, format])

  useEffect(() => {
    plot.current?.setData(toData(data))
    if (plot.current !== null) showNewest(plot.current)
  }, [data])

  return <div ref={frame} className="line-chart" role="img" aria-label={label} />
}

const toData = ({ times, values }: Props['data']): uPlot.AlignedData => [
  [...times],
  ...values.map((of) => [...of]),
]

type Options = {
  series: readonly Series[]
  palette: Palette
  width: number
  height: number
  windowSeconds: number
  isStepped: boolean
  format: (value: number) => string
}

const toOptions = ({
  series,
  palette,
  width,
  height,
  windowSeconds,
  isStepped,
  format,
}: Options): uPlot.Options => {
  const paths = isStepped ? uPlot.paths.stepped?.({ align: 1 }) : undefined
  const axis = {
    stroke: palette['text-quiet'],
    font: `11px ${palette.font}`,
    grid: { stroke: palette.line, width: 1 },
    ticks: { show: false },
  }
  return {
    width,
    height,
    cursor: { y: false, points: { show: false } },
    hooks: { ready: [showNewest], setCursor: [showNewest] },
    scales: {
      x: { range: (_, first, last) => [Math.min(first, last - windowSeconds), last] },
      y: { range: (_, __, most) => [0, Math.max(1, most * 1.08)] },
    },
    axes: [
      { ...axis, values: timesOf },
      { ...axis, size: 44, incrs: steps, values: (_, ticks) => ticks.map((tick) => format(tick)) },
    ],
    series: [
      { value: '{HH}:{mm}:{ss}' },
      ...series.map(
        ({ name, tone, isDashed, isFilled }): uPlot.Series => ({
          label: name,
          stroke: palette[tone],
          width: 1.75,
          points: { show: false },
          value: (_, value) => (value === null ? '—' : format(value)),
          ...(paths === undefined ? {} : { paths }),
          ...(isDashed ? { dash: [4, 4] } : {}),
          ...(isFilled ? { fill: fade(palette[tone]) } : {}),
        }),
      ),
    ],
  }
}

/** Between two lines of the grid: what is counted has no halves. */
const steps = Array.from({ length: 13 }, (_, power) => [1, 2, 5].map((n) => n * 10 ** power)).flat()

/** While nobody points at the chart, its legend has the newest values. */
const showNewest = (plot: uPlot): void => {
  const last = (plot.data[0]?.length ?? 0) - 1
  if (plot.cursor.idx == null && last >= 0) plot.setLegend({ idx: last }, false)
}

/** Hours and minutes, and the day where one begins. */
const timesOf = (_: uPlot, ticks: number[]): string[] =>
  ticks.map((tick) => {
    const time = new Date(tick * 1000)
    return time.getHours() === 0 && time.getMinutes() === 0 && time.getSeconds() === 0
      ? shortDay.format(time)
      : (time.getSeconds() === 0 ? shortTime : longTime).format(time)
  })

const shortTime = new Intl.DateTimeFormat('en-GB', { timeStyle: 'short' })
const longTime = new Intl.DateTimeFormat('en-GB', { timeStyle: 'medium' })
const shortDay = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short' })

/** The colour, nearly transparent. */
const fade = (colour: string): string => `color-mix(in srgb, ${colour} 14%, transparent)`
