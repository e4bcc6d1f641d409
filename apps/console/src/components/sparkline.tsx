import './sparkline.css'

const width = 120
const height = 28

/** The shape of the newest values, scaled from zero to their most. It says nothing that is not said in words. */
export const Sparkline = ({ values }: { values: readonly number[] }) => {
  const most = Math.max(...values, 0)
  if (values.length < 2 || most === 0) return <span className="sparkline" aria-hidden />
  const x = (i: number): number => (i / (values.length - 1)) * width
  const y = (value: number): number => height - 1 - (value / most) * (height - 3)
  const line = values.map((value, i) => `${x(i).toFixed(1)},${y(value).toFixed(1)}`).join(' ')
  return (
    <svg
      className="sparkline"
      viewBox={`0 0 ${width} ${height}`}
      preserveAspectRatio="none"
      aria-hidden
    >
      <polygon points={`0,${height} ${line} ${width},${height}`} />
      <polyline points={line} />
    </svg>
  )
}
