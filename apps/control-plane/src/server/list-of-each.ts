import type { Database } from '../db/database.ts'
import { Prisma } from '../generated/prisma/client.ts'
import { type PageArgs, parseFirst } from './connection.ts'
import { allOf, beyond, type List, ordered, parseCursor, raw, toCursor } from './list.ts'

/** A list of each owner, whom the column `owner` names; in the order of ids. */
export type OwnedList = List & { owner: string }

/**
 * The same page of the list of each owner, in two statements whatever their number. `count` is asked
 * only where `totalCount` is read.
 */
export const pageOfEach = async <T extends { id: string }>(
  db: Database,
  { table, owner, where, order }: OwnedList,
  { ownerIds, page }: { ownerIds: readonly string[]; page: PageArgs },
  { load, count }: { load(ids: string[]): Promise<T[]>; count(ownerId: string): Promise<number> },
) => {
  const take = parseFirst(page)
  const conditions = [
    Prisma.sql`${raw(owner)} = "wanted"."owner"`,
    ...where,
    ...beyond(order, parseCursor(order, page.after)),
  ]
  const chosen = await db.$queryRaw<{ owner: string; id: string }[]>`
    SELECT "wanted"."owner", "row"."id"
    FROM unnest(${[...ownerIds]}::uuid[]) AS "wanted"("owner")
    CROSS JOIN LATERAL (
      SELECT "id" FROM ${raw(table)} WHERE ${allOf(conditions)}
      ORDER BY ${ordered(order)} LIMIT ${take + 1}
    ) AS "row"`
  const rows = new Map((await load(chosen.map(({ id }) => id))).map((row) => [row.id, row]))
  return ownerIds.map((ownerId) => {
    const ids = chosen.filter((row) => row.owner === ownerId).map(({ id }) => id)
    const edges = ids.slice(0, take).flatMap((id) => {
      const node = rows.get(id)
      return node === undefined ? [] : [{ cursor: toCursor(order, id, id), node }]
    })
    return {
      edges,
      pageInfo: { hasNextPage: ids.length > take, endCursor: edges.at(-1)?.cursor ?? null },
      get totalCount(): Promise<number> {
        return count(ownerId)
      },
    }
  })
}

/** How many rows each owner's list has. */
export const countOfEach = async (
  db: Database,
  { table, owner, where }: OwnedList,
  ownerIds: readonly string[],
): Promise<number[]> => {
  const condition = allOf([Prisma.sql`${raw(owner)} = ANY(${[...ownerIds]}::uuid[])`, ...where])
  const rows = await db.$queryRaw<{ owner: string; count: number }[]>`
    SELECT ${raw(owner)} AS "owner", count(*)::int AS "count" FROM ${raw(table)}
    WHERE ${condition} GROUP BY ${raw(owner)}`
  const counts = new Map(rows.map((row) => [row.owner, row.count]))
  return ownerIds.map((ownerId) => counts.get(ownerId) ?? 0)
}
