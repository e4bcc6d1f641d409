import { useState } from 'react'
import { formatCount } from '../format.ts'

/** Where one is in a list that is read page by page, by cursors. */
export type Paging = {
  after: string | null
  /** Rows before this page. */
  numBefore: number
  isFirst: boolean
  next(cursor: string | null): void
  previous(): void
}

/** Begins anew whenever `of`, which names the list with its filters, changes. */
export const usePaging = (of: string, pageSize: number): Paging => {
  const [place, setPlace] = useState<{ of: string; trail: string[] }>({ of, trail: [] })
  const trail = place.of === of ? place.trail : []
  return {
    after: trail.at(-1) ?? null,
    numBefore: trail.length * pageSize,
    isFirst: trail.length === 0,
    next: (cursor) => {
      if (cursor !== null) setPlace({ of, trail: [...trail, cursor] })
    },
    previous: () => setPlace({ of, trail: trail.slice(0, -1) }),
  }
}

type Props = {
  paging: Paging
  numRows: number
  /** Of all pages; null: nobody has counted. */
  total: number | null
  pageInfo: { hasNextPage: boolean; endCursor: string | null }
}

/** Which rows of how many one sees, and the way to the others. */
export const PageFoot = ({ paging, numRows, total, pageInfo }: Props) => {
  const { numBefore, isFirst } = paging
  if (isFirst && !pageInfo.hasNextPage) return null
  return (
    <footer className="table-foot">
      <span className="quiet small number" role="status">
        {formatCount(numBefore + 1)}–{formatCount(numBefore + numRows)}
        {total !== null && ` of ${formatCount(total)}`}
      </span>
      <button
        type="button"
        className="button spread"
        disabled={isFirst}
        onClick={() => paging.previous()}
      >
        Previous
      </button>
      <button
        type="button"
        className="button"
        disabled={!pageInfo.hasNextPage}
        onClick={() => paging.next(pageInfo.endCursor)}
      >
        Next
      </button>
    </footer>
  )
}
