import { AppError } from '@punica/schema'
import type { Transaction } from '../db/database.ts'
import { type Actor, administers } from '../keys/actor.ts'
import { parseId } from '../server/input.ts'

/**
 * An upload with its files, if the caller may use it. Throws AppError `not_found`: another tenant's
 * upload is as unknown as one that does not exist.
 */
export const requireUpload = async (db: Transaction, actor: Actor, uploadId: string) => {
  const id = parseId('uploadId', uploadId)
  const upload = await db.adapterUpload.findUnique({
    where: { id },
    include: { tenant: true, baseModel: { include: { pool: true } }, files: true },
  })
  if (upload === null || !administers(actor, upload.tenantId)) {
    throw new AppError('not_found', `uploadId: there is no upload ${id}`, { param: 'uploadId' })
  }
  return upload
}
export type Upload = Awaited<ReturnType<typeof requireUpload>>

/** Throws AppError `conflict` once it is published or expired. */
export const requireOpen = ({
  versionId,
  expiresAt,
}: Pick<Upload, 'versionId' | 'expiresAt'>): void => {
  if (versionId !== null) {
    throw new AppError('conflict', 'The upload is published already; open another one')
  }
  if (expiresAt.getTime() <= Date.now()) {
    const at = expiresAt.toISOString()
    throw new AppError('conflict', `The upload expired at ${at}; open another one`)
  }
}

/** Seconds that an upload stays open after its newest sign of life, and after its creation at most. */
const openSeconds = 3600
const maxOpenSeconds = 24 * 3600

/** A large file may take longer than an upload is open: while it arrives, the end is put off. */
export const keepOpen = async (tx: Transaction, id: string): Promise<void> => {
  await tx.$executeRaw`
    UPDATE "adapter_upload" SET "expires_at" = greatest("expires_at", least(
      now() + make_interval(secs => ${openSeconds}),
      "created_at" + make_interval(secs => ${maxOpenSeconds})))
    WHERE "id" = ${id}::uuid`
}

/** Lets one transaction at a time change the upload, which must still be open. */
export const lockUpload = async (tx: Transaction, id: string): Promise<void> => {
  const rows = await tx.$queryRaw<{ versionId: string | null; expiresAt: Date }[]>`
    SELECT "version_id" AS "versionId", "expires_at" AS "expiresAt"
    FROM "adapter_upload" WHERE "id" = ${id}::uuid FOR UPDATE`
  const [row] = rows
  if (row === undefined) throw new AppError('not_found', `uploadId: there is no upload ${id}`)
  requireOpen(row)
}
