import { toLine } from './text.ts'

export type Column<T> = {
  title: string
  cell(row: T): string
  /** Numbers are set to the right. */
  isNumber?: boolean
}

/**
 * Rows below their titles, each column as wide as its widest cell, and of no rows nothing; control
 * characters are taken out.
 */
export const drawTable = <T>(columns: readonly Column<T>[], rows: readonly T[]): string => {
  if (rows.length === 0) return ''
  const cells = [
    columns.map(({ title }) => title),
    ...rows.map((row) => columns.map(({ cell }) => toLine(cell(row)))),
  ]
  return align(
    cells,
    columns.map(({ isNumber = false }) => isNumber),
  ).join('\n')
}

/** Lines of cells in columns as wide as their widest cell. */
export const align = (
  rows: readonly (readonly string[])[],
  isNumber: readonly boolean[] = [],
): string[] => {
  const widths = rows[0]?.map((_, i) => Math.max(...rows.map((row) => row[i]?.length ?? 0))) ?? []
  const fill = (cell: string, i: number): string =>
    isNumber[i] === true ? cell.padStart(widths[i] ?? 0) : cell.padEnd(widths[i] ?? 0)
  return rows.map((row) => row.map(fill).join('  ').trimEnd())
}
