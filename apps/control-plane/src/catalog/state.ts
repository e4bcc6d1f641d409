import type { Database } from '../db/database.ts'

export type CatalogState = { version: number; pending: number; oldestPendingAt: Date | null }

/**
 * How far the catalog has followed. Every change has a number, the outbox entry's, and an entry is
 * forgotten once it is written: what is below the oldest that waits stands in the catalog.
 */
export const readCatalogState = async (db: Database): Promise<CatalogState> => {
  const [row] = await db.$queryRaw<
    { newest: bigint; pending: number; oldest: bigint | null; oldestPendingAt: Date | null }[]
  >`
    SELECT (SELECT CASE WHEN "is_called" THEN "last_value" ELSE 0 END FROM "outbox_entry_id_seq") AS "newest",
      count(*)::int AS "pending", min("id") AS "oldest", min("created_at") AS "oldestPendingAt"
    FROM "outbox_entry"`
  if (row === undefined) throw new Error('the outbox cannot be read')
  const { newest, pending, oldest, oldestPendingAt } = row
  return { version: Number(oldest === null ? newest : oldest - 1n), pending, oldestPendingAt }
}
