import { AppError } from '@punica/schema'
import { z } from 'zod'
import type { Transaction } from '../db/database.ts'
import { Prisma } from '../generated/prisma/client.ts'
import { type PageArgs, parseFirst } from './connection.ts'

/**
 * By what a list is ordered; the id breaks ties. Cursors hold the value of `column` and the id, so a
 * page begins where the one before ended whatever was added or removed meanwhile.
 */
export type ListOrder = {
  /** Of this table; `id` where ids, which are UUIDs of version 7, say the order of creation. */
  column: string
  type: 'text' | 'bigint' | 'uuid'
  direction: 'ASC' | 'DESC'
}

export const byCreation = (direction: ListOrder['direction'] = 'ASC'): ListOrder => ({
  column: 'id',
  type: 'uuid',
  direction,
})

/** The rows of one table that meet every condition, in an order that an index has. */
export type List = {
  table: string
  where: readonly Prisma.Sql[]
  order: ListOrder
  /** It is counted no further; absent: to its end. */
  maxCount?: number | undefined
}

/** What a search matches is counted no further: nobody pages through more to find something. */
const maxSearchCount = 10_000

/** The bound of a list that may be searched. */
export const boundOf = (search: string | null | undefined): { maxCount?: number } =>
  search ? { maxCount: maxSearchCount } : {}

/** The order of a list that was asked for, of those that `orders` knows. */
export const toOrder = <F extends string>(
  asked: { field: F; direction?: ListOrder['direction'] } | null | undefined,
  orders: Readonly<Record<F, Omit<ListOrder, 'direction'>>>,
): ListOrder =>
  asked === null || asked === undefined
    ? byCreation()
    : { ...orders[asked.field], direction: asked.direction ?? 'ASC' }

type Loaded = { id: string }

/**
 * One page of a list as a connection. `load` reads the rows of the ids that were chosen. It takes two
 * statements whatever the page, and one more where `totalCount` is asked for.
 */
export const listPage = async <T extends Loaded>(
  db: Transaction,
  list: List,
  args: PageArgs,
  load: (ids: string[]) => Promise<T[]>,
) => {
  const take = parseFirst(args)
  const after = parseCursor(list.order, args.after)
  const chosen = await db.$queryRaw<{ id: string; key: string }[]>`
    SELECT "id", ${raw(list.order.column)}::text AS "key" FROM ${raw(list.table)}
    WHERE ${allOf([...list.where, ...beyond(list.order, after)])}
    ORDER BY ${ordered(list.order)} LIMIT ${take + 1}`
  const page = chosen.slice(0, take)
  const rows = new Map((await load(page.map(({ id }) => id))).map((row) => [row.id, row]))
  const edges = page.flatMap(({ id, key }) => {
    // A row that was removed between the two statements is left out.
    const node = rows.get(id)
    return node === undefined ? [] : [{ cursor: toCursor(list.order, key, id), node }]
  })
  const last = page.at(-1)
  return {
    edges,
    pageInfo: {
      hasNextPage: chosen.length > take,
      endCursor: last === undefined ? null : toCursor(list.order, last.key, last.id),
    },
    /** Counted only where it is read. */
    get totalCount(): Promise<number> {
      return countRows(db, list)
    },
  }
}

const countRows = async (db: Transaction, { table, where, maxCount }: List): Promise<number> => {
  const rows = Prisma.sql`FROM ${raw(table)} WHERE ${allOf(where)}`
  const counted =
    maxCount === undefined
      ? rows
      : Prisma.sql`FROM (SELECT 1 ${rows} LIMIT ${maxCount}) AS "counted"`
  const [row] = await db.$queryRaw<{ count: number }[]>`SELECT count(*)::int AS "count" ${counted}`
  return row?.count ?? 0
}

/** Names of tables and columns are our own and never a caller's. */
export const raw = (name: string): Prisma.Sql => Prisma.raw(`"${name}"`)

export const allOf = (conditions: readonly Prisma.Sql[]): Prisma.Sql =>
  conditions.length === 0 ? Prisma.sql`true` : Prisma.join([...conditions], ' AND ')

export const ordered = ({ column, direction }: ListOrder): Prisma.Sql =>
  column === 'id'
    ? Prisma.raw(`"id" ${direction}`)
    : Prisma.raw(`"${column}" ${direction}, "id" ${direction}`)

export const beyond = (
  { column, type, direction }: ListOrder,
  after: { key: string; id: string } | null,
): Prisma.Sql[] => {
  if (after === null) return []
  const than = Prisma.raw(direction === 'ASC' ? '>' : '<')
  if (column === 'id') return [Prisma.sql`"id" ${than} ${after.id}::uuid`]
  const key = Prisma.sql`${after.key}::${Prisma.raw(type)}`
  // A comparison of rows, which an index on both columns answers from where the page begins.
  return [Prisma.sql`(${raw(column)}, "id") ${than} (${key}, ${after.id}::uuid)`]
}

const keys = {
  text: z.string(),
  bigint: z.string().regex(/^-?\d{1,18}$/),
  uuid: z.uuid(),
} as const

export const toCursor = ({ column, direction }: ListOrder, key: string, id: string): string =>
  Buffer.from(JSON.stringify([column, direction, key, id])).toString('base64url')

export const parseCursor = (
  { column, type, direction }: ListOrder,
  after: string | null | undefined,
): { key: string; id: string } | null => {
  if (after === null || after === undefined) return null
  const Cursor = z.tuple([z.literal(column), z.literal(direction), keys[type], z.uuid()])
  const cursor = Cursor.safeParse(parseJson(Buffer.from(after, 'base64url').toString()))
  if (cursor.success) return { key: cursor.data[2], id: cursor.data[3] }
  throw new AppError('invalid_request', 'after: is not a cursor of this list in this order', {
    param: 'after',
  })
}

const parseJson = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}

/** Whether a column has the text somewhere, in upper or lower case. */
export const contains = (column: string, text: string): Prisma.Sql =>
  Prisma.sql`${raw(column)} ILIKE ${`%${escapeLike(text)}%`}`

/** The same of a column that has no upper case, at a fraction of the time. */
export const lowerContains = (column: string, text: string): Prisma.Sql =>
  Prisma.sql`${raw(column)} LIKE ${`%${escapeLike(text.toLowerCase())}%`}`

/** Texts are matched as they are, and names have underscores. */
const escapeLike = (text: string): string => text.replaceAll(/[\\%_]/g, '\\$&')
