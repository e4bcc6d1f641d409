export type Series = {
  readonly name: string
  readonly points: readonly (readonly [number, number])[]
  /** Of each point, where it is to be told from the others. */
  readonly labels?: readonly string[]
}

export type LineChart = {
  readonly title: string
  readonly xLabel: string
  readonly yLabel: string
  readonly series: readonly Series[]
  /** Drawn dashed and black, beside the series. */
  readonly reference?: Series
}

/** Rows are drawn from top to bottom, values from 0 to `max`; columns go from 0 to `xMax`. */
export type HeatMap = {
  readonly title: string
  readonly xLabel: string
  readonly xMax: number
  readonly yLabel: string
  readonly valueLabel: string
  readonly rows: readonly (readonly number[])[]
  readonly max: number
}

export type Panel = { readonly height: number; readonly body: string }

const width = 900
const margin = { left: 72, right: 190, top: 40, bottom: 52 }
const plotWidth = width - margin.left - margin.right
/** Told apart with any colour vision (Okabe and Ito, 2008); the dashes tell them apart in print. */
const colors = ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9']
const dashes = ['', '7 3', '2 2', '9 3 2 3', '4 4', '1 3']

const escapeXml = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')

const text = (x: number, y: number, content: string, more = ''): string =>
  `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" ${more}>${escapeXml(content)}</text>`

/** Panels one below the other, as one picture. */
export const toSvg = (panels: readonly Panel[]): string => {
  const height = panels.reduce((sum, panel) => sum + panel.height, 0)
  let top = 0
  const groups = panels.map((panel) => {
    const group = `<g transform="translate(0 ${top})">\n${panel.body}\n</g>`
    top += panel.height
    return group
  })
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="12">`,
    `<rect width="${width}" height="${height}" fill="white"/>`,
    ...groups,
    '</svg>',
    '',
  ].join('\n')
}

/** A step between ticks of 1, 2 or 5 times a power of ten, for about five of them. */
const tickStep = (range: number): number => {
  const rough = range / 5
  const power = 10 ** Math.floor(Math.log10(rough))
  const factor = [1, 2, 5].find((candidate) => candidate * power >= rough) ?? 10
  return factor * power
}

const ticks = (low: number, high: number): number[] => {
  const step = tickStep(high - low || 1)
  const found: number[] = []
  for (let i = Math.ceil(low / step); i * step <= high + step / 1e6; i++) found.push(i * step)
  return found
}

const toLabel = (value: number): string =>
  Number(value.toPrecision(6)).toLocaleString('en-US', { maximumFractionDigits: 6 })

type Style = { readonly color: string; readonly dash: string }
type Scale = (value: number) => number
type Draw = (series: Series, style: Style, x: Scale, y: Scale) => string

const polyline = ({ points }: Series, { color, dash }: Style, x: Scale, y: Scale): string => {
  const path = points.map(([px, py]) => `${x(px).toFixed(1)},${y(py).toFixed(1)}`).join(' ')
  return `<polyline points="${path}" fill="none" stroke="${color}" stroke-width="1.8" stroke-dasharray="${dash}"/>`
}

/** Lines through the points of each series, with axes from zero and a legend. */
export const lineChart = (chart: LineChart): Panel => xyChart(chart, polyline, 0)

/** Each point as a dot, the points of a series joined in their order; the y axis fits the points. */
export const scatterChart = (chart: LineChart): Panel => {
  const values = chart.series.flatMap(({ points }) => points.map(([, y]) => y))
  const low = Math.min(...values)
  return xyChart(chart, drawDots, low - 0.25 * (Math.max(...values) - low))
}

const drawDots: Draw = (series, style, x, y) => {
  const { points, labels } = series
  const dots = points.map(([px, py], index) => {
    const label = labels?.[index]
    return [
      `<circle cx="${x(px).toFixed(1)}" cy="${y(py).toFixed(1)}" r="4" fill="${style.color}"/>`,
      label === undefined
        ? ''
        : text(x(px), y(py) + 17, label, 'text-anchor="middle" font-size="10"'),
    ].join('')
  })
  return [polyline(series, style, x, y), ...dots].join('\n')
}

const styleOf = (index: number): Style => ({
  color: colors[index % colors.length] ?? 'black',
  dash: dashes[index % dashes.length] ?? '',
})

const xyChart = (chart: LineChart, draw: Draw, yMin: number): Panel => {
  const { title, xLabel, yLabel, series, reference } = chart
  const plotHeight = 240
  const shown = reference === undefined ? series : [...series, reference]
  const points = shown.flatMap(({ points: own }) => own)
  const xMax = Math.max(1e-9, ...points.map(([x]) => x))
  const yMax = yMin + 1.05 * (Math.max(yMin + 1e-9, ...points.map(([, y]) => y)) - yMin)
  const x = (value: number): number => margin.left + (plotWidth * value) / xMax
  const y = (value: number): number =>
    margin.top + plotHeight * (1 - (value - yMin) / (yMax - yMin))
  const right = margin.left + plotWidth
  const rules = ticks(yMin, yMax).flatMap((tick) => [
    `<line x1="${margin.left}" y1="${y(tick).toFixed(1)}" x2="${right}" y2="${y(tick).toFixed(1)}" stroke="#dddddd"/>`,
    text(margin.left - 6, y(tick) + 4, toLabel(tick), 'text-anchor="end"'),
  ])
  const styles = shown.map((one, index) =>
    one === reference ? { color: 'black', dash: '3 2' } : styleOf(index),
  )
  const drawn = shown.map((one, index) => draw(one, styles[index] ?? styleOf(0), x, y))
  const parts = [
    ...rules,
    ...frame({ title, xLabel, yLabel, xMax, plotHeight }),
    ...drawn,
    ...shown.map(({ name }, index) => legend(name, styles[index] ?? styleOf(0), index)),
  ]
  return { height: plotHeight + margin.top + margin.bottom, body: parts.join('\n') }
}

const legend = (name: string, { color, dash }: Style, index: number): string => {
  const left = margin.left + plotWidth + 14
  const top = margin.top + 10 + 20 * index
  const line = `<line x1="${left}" y1="${top - 4}" x2="${left + 24}" y2="${top - 4}" stroke="${color}" stroke-width="2.5" stroke-dasharray="${dash}"/>`
  return `${line}${text(left + 30, top, name)}`
}

type Frame = Omit<LineChart, 'series'> & { xMax: number; plotHeight: number }

/** Title, both axes and their labels, and the ticks of the x axis from 0. */
const frame = ({ title, xLabel, yLabel, xMax, plotHeight }: Frame): string[] => {
  const bottom = margin.top + plotHeight
  const middle = margin.left + plotWidth / 2
  return [
    text(margin.left, 24, title, 'font-size="15" font-weight="bold"'),
    `<path d="M${margin.left} ${margin.top}V${bottom}H${margin.left + plotWidth}" fill="none" stroke="black"/>`,
    ...ticks(0, xMax).flatMap((tick) => {
      const x = margin.left + (plotWidth * tick) / xMax
      return [
        `<line x1="${x.toFixed(1)}" y1="${bottom}" x2="${x.toFixed(1)}" y2="${bottom + 5}" stroke="black"/>`,
        text(x, bottom + 18, toLabel(tick), 'text-anchor="middle"'),
      ]
    }),
    text(middle, bottom + 36, xLabel, 'text-anchor="middle"'),
    `<text transform="translate(18 ${margin.top + plotHeight / 2}) rotate(-90)" text-anchor="middle">${escapeXml(yLabel)}</text>`,
  ]
}

/** Shades of a heat map: few, so that runs of one shade are long and the picture stays small. */
const numShades = 8
const shadeOf = (shade: number): string =>
  `fill="${colors[0]}" fill-opacity="${(shade / numShades).toFixed(3)}"`

/** One strip per row, darker where the value is greater. */
export const heatMap = ({ rows, max, valueLabel, ...axes }: HeatMap): Panel => {
  const rowHeight = 10
  const paths = Array.from({ length: numShades + 1 }, () => '')
  for (const [index, row] of rows.entries()) {
    const top = margin.top + index * rowHeight
    const cell = plotWidth / Math.max(1, row.length)
    const shades = row.map((value) => Math.ceil((numShades * Math.min(value, max)) / max))
    for (let from = 0; from < shades.length; ) {
      const shade = shades[from] ?? 0
      let to = from + 1
      while (shades[to] === shade) to++
      const left = (margin.left + from * cell).toFixed(1)
      const length = ((to - from) * cell).toFixed(1)
      paths[shade] += `M${left} ${top}h${length}v${rowHeight - 1}h-${length}z`
      from = to
    }
  }
  const plotHeight = rows.length * rowHeight
  const parts = [
    ...paths.map((d, shade) => (shade === 0 ? '' : `<path d="${d}" ${shadeOf(shade)}/>`)),
    ...frame({ ...axes, plotHeight }),
    ...shadeLegend(valueLabel, max),
  ]
  return { height: plotHeight + margin.top + margin.bottom, body: parts.join('\n') }
}

const shadeLegend = (label: string, max: number): string[] => {
  const left = margin.left + plotWidth + 14
  const boxes = Array.from(
    { length: numShades + 1 },
    (_, shade) =>
      `<rect x="${left + 14 * shade}" y="${margin.top + 16}" width="14" height="12" stroke="#999999" stroke-width="0.5" ${shadeOf(shade)}/>`,
  )
  return [
    text(left, margin.top + 8, label),
    ...boxes,
    text(left, margin.top + 44, '0'),
    text(left + 14 * (numShades + 1), margin.top + 44, String(max), 'text-anchor="end"'),
  ]
}
