import { type KeyboardEvent, type MouseEvent, useLayoutEffect, useRef, useState } from 'react'
import { useLocation } from 'wouter'
import { usePalette } from '../../charts/palette.ts'
import { useWidth } from '../../charts/use-width.ts'
import { formatCompact, formatShare, plural } from '../../format.ts'
import { drawMap } from './draw-map.ts'
import { cellAt, indexAt, layOut, type MapLayout } from './map-layout.ts'
import type { Gpu } from './totals.ts'

/**
 * The GPUs as cells of one canvas, which stays quick with a thousand of them. Arrow keys go from
 * cell to cell and Enter opens one; a screen reader hears the cell that is chosen.
 */
export const GpuMap = ({ gpus }: { gpus: readonly Gpu[] }) => {
  const [frame, width] = useWidth<HTMLDivElement>()
  const canvas = useRef<HTMLCanvasElement>(null)
  const palette = usePalette()
  const [chosen, setChosen] = useState<number | null>(null)
  const [, navigate] = useLocation()
  const layout = layOut(gpus.length, Math.max(width, 1))

  useLayoutEffect(() => {
    const pen = canvas.current?.getContext('2d')
    if (pen === null || pen === undefined || width === 0) return
    fit(pen.canvas, width, layout.height)
    pen.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0)
    drawMap(pen, gpus, layout, palette)
  }, [gpus, layout, palette, width])

  const open = (gpu: Gpu | undefined): void => {
    if (gpu !== undefined) navigate(`/nodes/${gpu.id}`)
  }
  const gpu = chosen === null ? undefined : gpus[chosen]
  return (
    <div
      ref={frame}
      className="gpu-map"
      role="listbox"
      aria-label={`${plural(gpus.length, 'GPU')}; arrow keys choose one, Enter opens it`}
      aria-activedescendant="chosen-gpu"
      tabIndex={0}
      onFocus={() => setChosen((before) => before ?? 0)}
      onBlur={() => setChosen(null)}
      onMouseLeave={() => setChosen(null)}
      onMouseMove={(event) => setChosen(indexUnder(event, layout, gpus.length))}
      onClick={(event) => open(gpus[indexUnder(event, layout, gpus.length) ?? -1])}
      onKeyDown={(event) => {
        if (event.key === 'Enter') open(gpu)
        const next = step(event, chosen ?? 0, layout.columns)
        if (next === null) return
        event.preventDefault()
        setChosen(Math.min(gpus.length - 1, Math.max(0, next)))
      }}
    >
      <canvas ref={canvas} aria-hidden />
      {/* biome-ignore lint/a11y/useFocusableInteractive: the list keeps the focus and names its active option */}
      <span id="chosen-gpu" role="option" aria-selected={gpu !== undefined} className="unseen">
        {gpu === undefined ? 'None chosen' : labelOf(gpu)}
      </span>
      {gpu !== undefined && chosen !== null && (
        <Details gpu={gpu} layout={layout} index={chosen} width={width} />
      )}
    </div>
  )
}

/** Setting the size clears a canvas and costs memory, so it is set only when it changes. */
const fit = (canvas: HTMLCanvasElement, width: number, height: number): void => {
  const [inX, inY] = [Math.round(width * devicePixelRatio), Math.round(height * devicePixelRatio)]
  if (canvas.width !== inX) canvas.width = inX
  if (canvas.height !== inY) canvas.height = inY
  canvas.style.height = `${height}px`
}

const indexUnder = (event: MouseEvent, layout: MapLayout, count: number): number | null => {
  const { left, top } = event.currentTarget.getBoundingClientRect()
  const index = indexAt(layout, { x: event.clientX - left, y: event.clientY - top })
  return index === null || index >= count ? null : index
}

const step = ({ key }: KeyboardEvent, from: number, columns: number): number | null => {
  switch (key) {
    case 'ArrowRight':
      return from + 1
    case 'ArrowLeft':
      return from - 1
    case 'ArrowDown':
      return from + columns
    case 'ArrowUp':
      return from - columns
    case 'Home':
      return 0
    case 'End':
      return Number.MAX_SAFE_INTEGER
    default:
      return null
  }
}

const tipWidth = 208

const labelOf = (gpu: Gpu): string =>
  [
    gpu.id,
    stateOf(gpu),
    `${gpu.requests} of ${gpu.maxBatchSize} requests`,
    plural(gpu.adaptersInBatch, 'adapter'),
    `memory ${formatShare(memoryOf(gpu))} full`,
  ].join(', ')

const memoryOf = ({ kvPages, adapterPages, numPages }: Gpu): number =>
  numPages === 0 ? 0 : (kvPages + adapterPages) / numPages

const stateOf = ({ state, scheduling }: Gpu): string =>
  state === 'READY' && scheduling !== 'OPEN' ? scheduling.toLowerCase() : state.toLowerCase()

type DetailsProps = { gpu: Gpu; layout: MapLayout; index: number; width: number }

/** A ring around the cell, and its figures below it, never beyond the map's edge. */
const Details = ({ gpu, layout, index, width }: DetailsProps) => {
  const { x, y } = cellAt(layout, index)
  const { cellWidth, cellHeight } = layout
  const { requests, maxBatchSize, numPages, kvPages, adapterPages } = gpu
  const ofPages = (pages: number): string => formatShare(numPages === 0 ? 0 : pages / numPages)
  const rows: [string, string][] = [
    ['State', stateOf(gpu)],
    ['Working set', `${requests} of ${maxBatchSize}`],
    ['Distinct adapters', String(gpu.adaptersInBatch)],
    ['KV cache', ofPages(kvPages)],
    ['Adapter weights', ofPages(adapterPages)],
    ['Tokens a second', formatCompact(gpu.tokensPerSecond)],
  ]
  return (
    <>
      <span
        className="gpu-ring"
        aria-hidden
        style={{ left: x, top: y, width: cellWidth, height: cellHeight }}
      />
      <div
        className="gpu-tip"
        aria-hidden
        style={{
          left: Math.max(0, Math.min(x, width - tipWidth)),
          top: y + cellHeight + 8,
          width: tipWidth,
        }}
      >
        <strong>{gpu.id}</strong>
        <dl>
          {rows.map(([name, value]) => (
            <div key={name}>
              <dt>{name}</dt>
              <dd className="number">{value}</dd>
            </div>
          ))}
        </dl>
      </div>
    </>
  )
}
