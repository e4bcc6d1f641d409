import { ArrowDown, ArrowUp } from 'lucide-react'
import type { ReactNode } from 'react'
import './data-table.css'

export type Column<Row, Field extends string> = {
  title: string
  cell: (row: Row) => ReactNode
  /** By which the server can sort; absent: it cannot. */
  field?: Field
  isNumber?: boolean
  /** Left out on narrow screens. */
  isExtra?: boolean
}

export type Order<Field extends string> = { field: Field; direction: 'ASC' | 'DESC' }

type Props<Row, Field extends string> = {
  /** What the table lists, for those who do not see its place on the page. */
  label: string
  /** The first names the row. */
  columns: readonly Column<Row, Field>[]
  rows: readonly Row[]
  keyOf: (row: Row) => string
  order?: Order<Field>
  onOrder?: (order: Order<Field>) => void
}

/** A table of one page of rows; sorting is the server's. */
export const DataTable = <Row, Field extends string = never>({
  label,
  columns,
  rows,
  keyOf,
  order,
  onOrder,
}: Props<Row, Field>) => (
  // biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls must take the keyboard
  <section className="table-scroll" aria-label={label} tabIndex={0}>
    <table className="table">
      <thead>
        <tr>
          {columns.map((column) => (
            <Heading key={column.title} column={column} order={order} onOrder={onOrder} />
          ))}
        </tr>
      </thead>
      <tbody>
        {rows.map((row) => (
          <tr key={keyOf(row)}>
            {columns.map((column, index) =>
              index === 0 ? (
                <th key={column.title} scope="row" className={classOf(column)}>
                  {column.cell(row)}
                </th>
              ) : (
                <td key={column.title} className={classOf(column)}>
                  {column.cell(row)}
                </td>
              ),
            )}
          </tr>
        ))}
      </tbody>
    </table>
  </section>
)

const classOf = ({
  isNumber = false,
  isExtra = false,
}: {
  isNumber?: boolean
  isExtra?: boolean
}): string => `${isNumber ? 'number end' : ''} ${isExtra ? 'extra' : ''}`

type HeadingProps<Row, Field extends string> = {
  column: Column<Row, Field>
  order: Order<Field> | undefined
  onOrder: ((order: Order<Field>) => void) | undefined
}

const Heading = <Row, Field extends string>({
  column,
  order,
  onOrder,
}: HeadingProps<Row, Field>) => {
  const { field, title } = column
  if (field === undefined || onOrder === undefined) {
    return (
      <th scope="col" className={classOf(column)}>
        {title}
      </th>
    )
  }
  const direction = order?.field === field ? order.direction : null
  const Arrow = direction === 'DESC' ? ArrowDown : ArrowUp
  return (
    <th
      scope="col"
      className={classOf(column)}
      aria-sort={direction === null ? 'none' : direction === 'ASC' ? 'ascending' : 'descending'}
    >
      <button
        type="button"
        className="sort"
        onClick={() => onOrder({ field, direction: next(direction, column.isNumber ?? false) })}
      >
        {title}
        {direction !== null && <Arrow size={12} aria-hidden />}
      </button>
    </th>
  )
}

/** Of numbers one wants the largest first. */
const next = (direction: 'ASC' | 'DESC' | null, isNumber: boolean): 'ASC' | 'DESC' => {
  if (direction === null) return isNumber ? 'DESC' : 'ASC'
  return direction === 'ASC' ? 'DESC' : 'ASC'
}
