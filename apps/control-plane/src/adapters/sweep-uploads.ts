import type { ObjectStore } from '@punica/object-store'
import type { Database } from '../db/database.ts'

type Deps = { db: Database; store: Pick<ObjectStore, 'delete'> }

/** How long an expired upload is still answered for by name. */
const keepExpiredMs = 3600_000
/** At most so many a sweep; the rest waits for the next one. */
const maxUploads = 100

/**
 * Forgets uploads that expired unpublished, and what they left in the object store unless another
 * upload or version has the same bytes. An upload that arrives meanwhile with the very bytes that
 * go is noticed when it is published, which reads them.
 */
export const sweepUploads = async ({ db, store }: Deps): Promise<void> => {
  const expired = await db.adapterUpload.findMany({
    where: { versionId: null, expiresAt: { lt: new Date(Date.now() - keepExpiredMs) } },
    include: { files: true },
    take: maxUploads,
  })
  await db.adapterUpload.deleteMany({ where: { id: { in: expired.map(({ id }) => id) } } })
  const digests = new Set(expired.flatMap(({ files }) => files.map(({ digest }) => digest)))
  for (const digest of digests) {
    const isUsed =
      (await db.uploadedFile.findFirst({ where: { digest } })) ??
      (await db.adapterFile.findFirst({ where: { digest } }))
    if (isUsed === null) await store.delete(digest)
  }
}
