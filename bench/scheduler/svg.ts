export type Series = {
  readonly name: string
  readonly points: readonly (readonly [number, number])[]
}

export type LineChart = {
  readonly title: string
  readonly xLabel: string
  readonly yLabel: string
  readonly series: readonly Series[]
}

/** Rows are drawn from top to bottom, values from 0 to `max`. */
export type HeatMap = {
  readonly title: string
  readonly rows: readonly (readonly number[])[]
  readonly max: number
}

export type Panel = { readonly height: number; readonly body: string }

const width = 860
const margin = { left: 64, right: 170, top: 36, bottom: 44 }
const plotWidth = width - margin.left - margin.right
const colors = ['#0b6e4f', '#c1440e', '#3d5a98', '#8a5a9e', '#7a7a7a', '#b8860b', '#2a9d8f']

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

const toLabel = (value: number): string => String(Number(value.toPrecision(6)))

/** Lines through the points of each series, with axes from zero and a legend. */
export const lineChart = ({ title, xLabel, yLabel, series }: LineChart): Panel =>
  xyChart({ title, xLabel, yLabel, series }, ({ points }, color, x, y) => {
    const path = points.map(([px, py]) => `${x(px).toFixed(1)},${y(py).toFixed(1)}`).join(' ')
    return `<polyline points="${path}" fill="none" stroke="${color}" stroke-width="1.5"/>`
  })

/** Each point as a dot, the points of a series joined in their order. */
export const scatterChart = (chart: LineChart): Panel =>
  xyChart(chart, ({ points }, color, x, y) => {
    const path = points.map(([px, py]) => `${x(px).toFixed(1)},${y(py).toFixed(1)}`).join(' ')
    const dots = points.map(
      ([px, py]) =>
        `<circle cx="${x(px).toFixed(1)}" cy="${y(py).toFixed(1)}" r="3.5" fill="${color}"/>`,
    )
    const line = `<polyline points="${path}" fill="none" stroke="${color}" stroke-width="0.7"/>`
    return [line, ...dots].join('\n')
  })

type Scale = (value: number) => number

const xyChart = (
  { title, xLabel, yLabel, series }: LineChart,
  draw: (series: Series, color: string, x: Scale, y: Scale) => string,
): Panel => {
  const plotHeight = 240
  const points = series.flatMap(({ points: own }) => own)
  const xMax = Math.max(1e-9, ...points.map(([x]) => x))
  const yMax = 1.05 * Math.max(1e-9, ...points.map(([, y]) => y))
  const x = (value: number): number => margin.left + (plotWidth * value) / xMax
  const y = (value: number): number => margin.top + plotHeight * (1 - value / yMax)
  const bottom = margin.top + plotHeight
  const right = margin.left + plotWidth
  const parts = [text(margin.left, 22, title, 'font-size="14" font-weight="bold"')]
  for (const tick of ticks(0, yMax)) {
    parts.push(
      `<line x1="${margin.left}" y1="${y(tick).toFixed(1)}" x2="${right}" y2="${y(tick).toFixed(1)}" stroke="#dddddd"/>`,
      text(margin.left - 6, y(tick) + 4, toLabel(tick), 'text-anchor="end"'),
    )
  }
  for (const tick of ticks(0, xMax)) {
    parts.push(text(x(tick), bottom + 16, toLabel(tick), 'text-anchor="middle"'))
  }
  parts.push(
    `<path d="M${margin.left} ${margin.top}V${bottom}H${right}" fill="none" stroke="black"/>`,
    text(margin.left + plotWidth / 2, bottom + 34, xLabel, 'text-anchor="middle"'),
    `<text transform="translate(16 ${margin.top + plotHeight / 2}) rotate(-90)" text-anchor="middle">${escapeXml(yLabel)}</text>`,
  )
  for (const [index, one] of series.entries()) {
    const color = colors[index % colors.length] ?? 'black'
    const legendY = margin.top + 10 + 18 * index
    parts.push(
      draw(one, color, x, y),
      `<rect x="${right + 12}" y="${legendY - 8}" width="12" height="8" fill="${color}"/>`,
      text(right + 30, legendY, one.name),
    )
  }
  return { height: plotHeight + margin.top + margin.bottom, body: parts.join('\n') }
}

/** Shades of a heat map: few, so that runs of one shade are long and the picture stays small. */
const numShades = 8

/** One strip per row, darker where the value is greater. */
export const heatMap = ({ title, rows, max }: HeatMap): Panel => {
  const rowHeight = 9
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
  const height = rows.length * rowHeight
  const parts = [
    text(margin.left, 22, title, 'font-size="14" font-weight="bold"'),
    ...paths
      .slice(1)
      .map(
        (d, index) => `<path d="${d}" fill="#0b6e4f" fill-opacity="${(index + 1) / numShades}"/>`,
      ),
    `<rect x="${margin.left}" y="${margin.top}" width="${plotWidth}" height="${height}" fill="none" stroke="black"/>`,
    text(margin.left + plotWidth + 12, margin.top + 10, `0 to ${max} requests`),
  ]
  return { height: height + margin.top + 20, body: parts.join('\n') }
}
