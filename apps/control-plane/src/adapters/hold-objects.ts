import type { ObjectStore } from '@punica/object-store'
import { AppError } from '@punica/schema'
import type { Database, Transaction } from '../db/database.ts'

/** The class of the advisory locks on objects; a number of our own. */
const objectLocks = 7_001_002

/**
 * To be called in the transaction that refers to objects, before it does: from then on to its end
 * nobody removes them. Throws AppError `unavailable` where one has just gone, as it does when
 * nothing else had referred to it and it was found to be stored already.
 */
export const holdObjects = async (
  tx: Transaction,
  store: Pick<ObjectStore, 'head'>,
  digests: readonly string[],
): Promise<void> => {
  // In one order, so that two of these cannot wait for each other.
  for (const digest of [...new Set(digests)].sort()) {
    await lockObject(tx, digest)
    if ((await store.head(digest)) !== null) continue
    throw new AppError('unavailable', 'What was uploaded is no longer stored; send it again', {
      retryAfterMs: 1_000,
    })
  }
}

type Collector = { db: Database; store: Pick<ObjectStore, 'delete'> }

/** Removes those objects that nothing refers to, and returns how many. */
export const collectObjects = async (
  { db, store }: Collector,
  digests: Iterable<string>,
): Promise<number> => {
  let numCollected = 0
  for (const digest of new Set(digests)) {
    numCollected += await db.$transaction(async (tx) => {
      await lockObject(tx, digest)
      if ((await findReferenced(tx, [digest])).has(digest)) return 0
      await store.delete(digest)
      return 1
    })
  }
  return numCollected
}

/** How long the files of an archived version stay: far longer than any request on it may take. */
const keepArchivedMs = 24 * 3600_000

/** Those of the objects that an open upload, a file on its way, or a version still needs. */
export const findReferenced = async (
  tx: Transaction,
  digests: readonly string[],
): Promise<Set<string>> => {
  const archivedAfter = new Date(Date.now() - keepArchivedMs)
  const rows = await tx.$queryRaw<{ digest: string }[]>`
    SELECT "digest" FROM unnest(${[...digests]}::text[]) AS "wanted"("digest")
    WHERE EXISTS (SELECT FROM "incoming_part" WHERE "digest" = "wanted"."digest")
      OR EXISTS (
        SELECT FROM "uploaded_file" JOIN "adapter_upload" ON "id" = "upload_id"
        WHERE "digest" = "wanted"."digest" AND "version_id" IS NULL)
      OR EXISTS (
        SELECT FROM "adapter_file" JOIN "adapter_version" ON "id" = "version_id"
        WHERE "adapter_file"."digest" = "wanted"."digest"
          AND ("archived_at" IS NULL OR "archived_at" > ${archivedAfter}))`
  return new Set(rows.map(({ digest }) => digest))
}

const lockObject = async (tx: Transaction, digest: string): Promise<void> => {
  await tx.$executeRaw`SELECT pg_advisory_xact_lock(${objectLocks}::int, hashtext(${digest}))`
}
