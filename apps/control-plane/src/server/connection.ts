import { AppError } from '@punica/schema'
import { z } from 'zod'

export type PageArgs = { first?: number | null | undefined; after?: string | null | undefined }

/** At most `take` rows whose id is beyond `after`, by id. */
type Page = { take: number; after: string | null }

const maxFirst = 100

/** Throws AppError `invalid_request`. */
export const parseFirst = ({ first }: PageArgs): number => {
  const take = first ?? 50
  if (take >= 1 && take <= maxFirst) return take
  throw new AppError('invalid_request', `first: must be 1 to ${maxFirst}`, { param: 'first' })
}

/**
 * What part of a list is asked for that is sorted by id. Ids are UUIDs of version 7, so that is their
 * order of creation, and a cursor keeps its place whatever is added or removed. Throws AppError
 * `invalid_request`. Lists with other orders are read by list.ts.
 */
export const parsePage = ({ first, after }: PageArgs): Page => {
  const take = parseFirst({ first })
  if (after === null || after === undefined) return { take, after: null }
  const id = z.uuid().safeParse(Buffer.from(after, 'base64url').toString())
  if (!id.success) {
    throw new AppError('invalid_request', 'after: is not a cursor of this list', { param: 'after' })
  }
  return { take, after: id.data }
}

/** `rows` are one more than were asked for where there are more. */
export const toConnection = <T extends { id: string }>(rows: readonly T[], { take }: Page) => {
  const edges = rows.slice(0, take).map((node) => ({ cursor: toCursor(node.id), node }))
  return {
    edges,
    pageInfo: { hasNextPage: rows.length > take, endCursor: edges.at(-1)?.cursor ?? null },
  }
}

const toCursor = (id: string): string => Buffer.from(id).toString('base64url')
