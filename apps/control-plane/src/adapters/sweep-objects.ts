import type { ObjectStore } from '@punica/object-store'
import type { Logger } from '@punica/service'
import type { Database } from '../db/database.ts'
import type { Inventory } from '../nodes/inventory.ts'
import { collectObjects, findReferenced } from './hold-objects.ts'

type Deps = {
  db: Database
  store: Pick<ObjectStore, 'delete' | 'head' | 'list' | 'sweep'>
  inventory: Pick<Inventory, 'list'>
  log: Pick<Logger, 'info'>
}

/** Younger objects may be of a writer that has stored them and not yet said so in the database. */
const minAgeMs = 3600_000
const batchSize = 500

/**
 * Removes from the object store what nothing refers to: files of archived versions, parts and files
 * of uploads that a crash forgot, and the halves of objects that dead writers left. It may be
 * killed at any point and run beside itself: each object goes under a lock, after a last look.
 */
export const sweepObjects = async ({ db, store, inventory, log }: Deps): Promise<void> => {
  let numCollected = 0
  for await (const digests of inBatches(store.list(), batchSize)) {
    const needed = await findReferenced(db, digests)
    const running = await findRunning(db, inventory, digests)
    const idle = digests.filter((digest) => !needed.has(digest) && !running.has(digest))
    const old: string[] = []
    for (const digest of idle) {
      const head = await store.head(digest)
      if (head !== null && head.storedAtMs < Date.now() - minAgeMs) old.push(digest)
    }
    numCollected += await collectObjects({ db, store }, old)
  }
  const numSwept = await store.sweep({ idleMs: minAgeMs })
  if (numCollected + numSwept > 0) log.info({ numCollected, numSwept }, 'objects removed')
}

/** Those that are files of a version on which a node runs a request, archived though it is. */
const findRunning = async (
  db: Database,
  inventory: Pick<Inventory, 'list'>,
  digests: readonly string[],
): Promise<Set<string>> => {
  const versions = runningDigests(inventory)
  if (versions.size === 0) return new Set()
  const where = { digest: { in: [...digests] }, version: { digest: { in: [...versions] } } }
  const files = await db.adapterFile.findMany({ where, select: { digest: true } })
  return new Set(files.map(({ digest }) => digest))
}

/** Digests of the versions on which nodes run requests; `tenants` narrows it to theirs. */
export const runningDigests = (
  inventory: Pick<Inventory, 'list'>,
  tenants?: ReadonlySet<string>,
): Set<string> => {
  const running = new Set<string>()
  for (const { status } of inventory.list()) {
    for (const { adapterDigest: digest, tenant } of status.requests) {
      const isMeant = tenants === undefined || tenant === undefined || tenants.has(tenant)
      if (typeof digest === 'string' && isMeant) running.add(digest)
    }
  }
  return running
}

async function* inBatches<T>(source: AsyncIterable<T>, size: number): AsyncGenerator<T[]> {
  let batch: T[] = []
  for await (const item of source) {
    batch.push(item)
    if (batch.length < size) continue
    yield batch
    batch = []
  }
  if (batch.length > 0) yield batch
}
