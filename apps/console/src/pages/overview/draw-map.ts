import type { Palette } from '../../charts/palette.ts'
import { cellAt, type MapLayout, wordyWidth } from './map-layout.ts'
import type { Gpu } from './totals.ts'

type Pen = CanvasRenderingContext2D
type Box = { x: number; y: number; width: number; height: number }

/** From this width on a square has its number of requests. */
const numberedWidth = 30

/** Draws every GPU as a cell. The size of the cells decides how much each of them tells. */
export const drawMap = (
  pen: Pen,
  gpus: readonly Gpu[],
  layout: MapLayout,
  palette: Palette,
): void => {
  pen.clearRect(0, 0, pen.canvas.width, pen.canvas.height)
  pen.textBaseline = 'alphabetic'
  for (const [index, gpu] of gpus.entries()) {
    const box = { ...cellAt(layout, index), width: layout.cellWidth, height: layout.cellHeight }
    drawFrame(pen, box, gpu, palette)
    if (layout.cellWidth >= wordyWidth) drawWords(pen, box, gpu, palette)
    else drawSquare(pen, box, gpu, palette)
    drawState(pen, box, gpu, palette)
  }
}

const share = (part: number, whole: number): number =>
  whole === 0 ? 0 : Math.min(1, Math.max(0, part / whole))

const radiusOf = ({ width }: Box): number => (width > 40 ? 6 : width > 18 ? 3 : 2)

const isGone = ({ state }: Gpu): boolean => state === 'LOST' || state === 'FAILED'
const isHeld = ({ state, scheduling }: Gpu): boolean =>
  state === 'DRAINING' || scheduling !== 'OPEN'

const drawFrame = (pen: Pen, box: Box, gpu: Gpu, palette: Palette): void => {
  const outline = isGone(gpu) ? palette.bad : isHeld(gpu) ? palette.warn : palette.line
  pen.beginPath()
  pen.roundRect(box.x + 0.5, box.y + 0.5, box.width - 1, box.height - 1, radiusOf(box))
  pen.fillStyle = isGone(gpu) ? palette['bad-soft'] : palette.sunken
  pen.fill()
  pen.lineWidth = isGone(gpu) || isHeld(gpu) ? 1.5 : 1
  pen.strokeStyle = outline
  pen.setLineDash(gpu.state === 'STARTING' ? [3, 3] : [])
  pen.stroke()
  pen.setLineDash([])
}

/** Fills from below as the working set grows; memory is the slim bar on the right. */
const drawSquare = (pen: Pen, box: Box, gpu: Gpu, palette: Palette): void => {
  const inner = { x: box.x + 2, y: box.y + 2, width: box.width - 4, height: box.height - 4 }
  const bar = box.width >= 14 ? Math.max(2, Math.round(box.width / 12)) : 0
  const filled = Math.round(inner.height * share(gpu.requests, gpu.maxBatchSize))
  pen.fillStyle = palette['accent-fill']
  pen.globalAlpha = box.width >= numberedWidth ? 0.4 : 1
  pen.fillRect(
    inner.x,
    inner.y + inner.height - filled,
    inner.width - (bar === 0 ? 0 : bar + 1),
    filled,
  )
  pen.globalAlpha = 1
  if (bar > 0) {
    const used = Math.round(inner.height * share(gpu.kvPages + gpu.adapterPages, gpu.numPages))
    pen.fillStyle = palette.edge
    pen.fillRect(inner.x + inner.width - bar, inner.y + inner.height - used, bar, used)
  }
  if (box.width >= numberedWidth && gpu.requests > 0) {
    pen.fillStyle = palette.text
    pen.font = `600 ${Math.min(15, Math.round(box.width / 3))}px ${palette.font}`
    pen.textAlign = 'center'
    pen.fillText(
      String(gpu.requests),
      inner.x + (inner.width - bar) / 2,
      box.y + box.height / 2 + box.width / 9,
      inner.width,
    )
  }
}

const drawWords = (pen: Pen, box: Box, gpu: Gpu, palette: Palette): void => {
  const { x, y, width } = box
  const inside = width - 20
  pen.textAlign = 'left'
  pen.fillStyle = palette.text
  pen.font = `600 12px ${palette.font}`
  pen.fillText(clip(pen, gpu.id, inside - 58), x + 10, y + 19)
  pen.textAlign = 'right'
  pen.fillStyle = palette['text-quiet']
  pen.font = `11px ${palette.font}`
  if (!isGone(gpu)) pen.fillText(`${gpu.requests}/${gpu.maxBatchSize}`, x + width - 10, y + 19)
  const requests = share(gpu.requests, gpu.maxBatchSize)
  drawBar(pen, { x: x + 10, y: y + 28, width: inside, height: 8 }, palette, [
    [requests, palette['accent-fill']],
  ])
  drawBar(pen, { x: x + 10, y: y + 41, width: inside, height: 5 }, palette, [
    [share(gpu.kvPages, gpu.numPages), palette['text-quiet']],
    [share(gpu.adapterPages, gpu.numPages), palette.edge],
  ])
  pen.textAlign = 'left'
  pen.fillStyle = palette['text-quiet']
  pen.fillText(clip(pen, wordsOf(gpu), inside), x + 10, y + 63)
}

const wordsOf = ({ state, scheduling, requests, adaptersInBatch }: Gpu): string => {
  if (state !== 'READY') return state.toLowerCase()
  if (scheduling === 'DRAINED') return requests === 0 ? 'drained' : 'draining'
  if (requests === 0) return scheduling === 'CORDONED' ? 'cordoned, idle' : 'idle'
  const adapters = `${adaptersInBatch} adapter${adaptersInBatch === 1 ? '' : 's'}`
  return scheduling === 'CORDONED' ? `${adapters}, cordoned` : adapters
}

type Part = [share: number, colour: string]

/** A bar with its parts one after another. */
const drawBar = (pen: Pen, box: Box, palette: Palette, parts: readonly Part[]): void => {
  pen.save()
  pen.beginPath()
  pen.roundRect(box.x, box.y, box.width, box.height, box.height / 2)
  pen.clip()
  pen.fillStyle = palette.line
  pen.fillRect(box.x, box.y, box.width, box.height)
  let from = box.x
  for (const [part, colour] of parts) {
    pen.fillStyle = colour
    pen.fillRect(from, box.y, box.width * part, box.height)
    from += box.width * part
  }
  pen.restore()
}

/** Shape as well as colour tells a state: hatched is drained, crossed is lost or failed. */
const drawState = (pen: Pen, box: Box, gpu: Gpu, palette: Palette): void => {
  const { x, y, width, height } = box
  const isDraining = gpu.state === 'DRAINING' || gpu.scheduling === 'DRAINED'
  if (!isGone(gpu) && !isDraining) return
  pen.save()
  pen.beginPath()
  pen.roundRect(x, y, width, height, radiusOf(box))
  pen.clip()
  pen.beginPath()
  if (isGone(gpu)) {
    const corner = Math.min(width, height, 24)
    pen.moveTo(x + width, y)
    pen.lineTo(x + width - corner, y + corner)
    pen.moveTo(x + width - corner, y)
    pen.lineTo(x + width, y + corner)
  } else {
    for (let offset = 0; offset < width + height; offset += 7) {
      pen.moveTo(x + offset, y)
      pen.lineTo(x + offset - height, y + height)
    }
    pen.globalAlpha = 0.35
  }
  pen.lineWidth = 1.5
  pen.strokeStyle = isGone(gpu) ? palette.bad : palette.warn
  pen.stroke()
  pen.restore()
}

const clip = (pen: Pen, text: string, width: number): string => {
  if (pen.measureText(text).width <= width) return text
  let length = text.length
  while (length > 1 && pen.measureText(`${text.slice(0, length)}…`).width > width) length -= 1
  return `${text.slice(0, length)}…`
}
