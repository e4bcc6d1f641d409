import type { ObjectStore } from '@punica/object-store'
import type { Database } from '../db/database.ts'
import { collectObjects } from './hold-objects.ts'

type Deps = { db: Database; store: Pick<ObjectStore, 'delete'> }

/** How long an expired upload is still answered for by name. */
const keepExpiredMs = 3600_000
/** At most so many a sweep; the rest waits for the next one. */
const maxUploads = 100

/**
 * Forgets uploads that expired unpublished, and what they left in the object store unless another
 * upload or version has the same bytes.
 */
export const sweepUploads = async ({ db, store }: Deps): Promise<void> => {
  const expired = await db.adapterUpload.findMany({
    where: { versionId: null, expiresAt: { lt: new Date(Date.now() - keepExpiredMs) } },
    include: { files: true, incoming: { include: { parts: true } } },
    take: maxUploads,
  })
  await db.adapterUpload.deleteMany({ where: { id: { in: expired.map(({ id }) => id) } } })
  const left = expired.flatMap(({ files, incoming }) => [
    ...files,
    ...incoming.flatMap(({ parts }) => parts),
  ])
  await collectObjects(
    { db, store },
    left.map(({ digest }) => digest),
  )
}
