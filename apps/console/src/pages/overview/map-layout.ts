/** Where the cells of a map lie; all in CSS pixels. */
export type MapLayout = {
  columns: number
  rows: number
  cellWidth: number
  cellHeight: number
  gap: number
  height: number
}

const widest = 176
/** From this width on a cell has words, and is as high as they need. */
export const wordyWidth = 104
const wordyHeight = 74
const narrowest = 9
/** The map is no higher than this, as long as cells are not the smallest. */
const wantedHeight = 380

/** The largest cells with which `count` of them fit into `width` without becoming too high. */
export const layOut = (count: number, width: number): MapLayout => {
  let layout = layColumns(count, width, Math.max(1, Math.ceil((width + 6) / (widest + 6))))
  while (layout.height > wantedHeight && layout.cellWidth > narrowest) {
    const narrower = layColumns(count, width, layout.columns + 1)
    if (narrower.cellWidth < narrowest) break
    layout = narrower
  }
  return layout
}

const layColumns = (count: number, width: number, columns: number): MapLayout => {
  const roughly = width / columns
  const gap = roughly > 40 ? 6 : roughly > 18 ? 3 : 2
  const cellWidth = Math.min(widest, Math.floor((width - gap * (columns - 1)) / columns))
  const cellHeight = cellWidth >= wordyWidth ? wordyHeight : cellWidth
  const rows = Math.max(1, Math.ceil(count / columns))
  return { columns, rows, cellWidth, cellHeight, gap, height: rows * (cellHeight + gap) - gap }
}

export const cellAt = (
  { columns, cellWidth, cellHeight, gap }: MapLayout,
  index: number,
): { x: number; y: number } => ({
  x: (index % columns) * (cellWidth + gap),
  y: Math.floor(index / columns) * (cellHeight + gap),
})

/** The index of the cell under a point, which may be one too many; null: between cells. */
export const indexAt = (
  { columns, cellWidth, cellHeight, gap }: MapLayout,
  { x, y }: { x: number; y: number },
): number | null => {
  const column = Math.floor(x / (cellWidth + gap))
  const row = Math.floor(y / (cellHeight + gap))
  if (column < 0 || row < 0 || column >= columns) return null
  const isInside = x % (cellWidth + gap) < cellWidth && y % (cellHeight + gap) < cellHeight
  return isInside ? row * columns + column : null
}
