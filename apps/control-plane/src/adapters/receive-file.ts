import type { ObjectStore } from '@punica/object-store'
import { AppError } from '@punica/schema'
import type { Database } from '../db/database.ts'
import type { Actor } from '../keys/actor.ts'
import { type UploadFileName, uploadFiles } from './create-upload.ts'
import { lockUpload, requireOpen, requireUpload } from './find-upload.ts'

type Deps = { db: Database; store: Pick<ObjectStore, 'put'>; actor: Actor }

export type ReceivedFile = {
  uploadId: string
  name: string
  body: AsyncIterable<Uint8Array>
  /** What the sender says, or null. */
  contentLength: number | null
}

/**
 * Takes one file of an upload into the object store, as a stream. A file that has arrived whole
 * replaces the one before; one that breaks off leaves the upload as it was. Throws AppError
 * `not_found`, `conflict`, `payload_too_large`.
 */
export const receiveFile = async (
  { db, store, actor }: Deps,
  { uploadId, name, body, contentLength }: ReceivedFile,
): Promise<{ name: string; digest: string; sizeBytes: number }> => {
  const upload = await requireUpload(db, actor, uploadId)
  requireOpen(upload)
  const maxBytes = uploadFiles[requireFileName(name)]
  if (contentLength !== null && contentLength > maxBytes) throw tooLarge(name, maxBytes)
  const { digest, sizeBytes } = await store.put(body, { maxBytes }).catch((cause: unknown) => {
    const isTooLarge = cause instanceof AppError && cause.code === 'payload_too_large'
    throw isTooLarge ? tooLarge(name, maxBytes) : cause
  })
  await db.$transaction(async (tx) => {
    await lockUpload(tx, upload.id)
    await tx.uploadedFile.upsert({
      where: { uploadId_name: { uploadId: upload.id, name } },
      create: { uploadId: upload.id, name, digest, sizeBytes },
      update: { digest, sizeBytes },
    })
  })
  return { name, digest, sizeBytes }
}

const requireFileName = (name: string): UploadFileName => {
  if (name === 'adapter_config.json' || name === 'adapter_model.safetensors') return name
  const known = Object.keys(uploadFiles).join(' and ')
  throw new AppError('not_found', `The files of an upload are ${known}`, { param: 'file' })
}

const tooLarge = (name: string, maxBytes: number): AppError =>
  new AppError('payload_too_large', `${name} has more than ${maxBytes} bytes, the limit`, {
    param: name,
  })
