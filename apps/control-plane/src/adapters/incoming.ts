import { randomUUID } from 'node:crypto'
import type { ObjectStore, StoredObject } from '@punica/object-store'
import { AppError } from '@punica/schema'
import type { Database, Transaction } from '../db/database.ts'
import { Prisma } from '../generated/prisma/client.ts'
import type { UploadFileName } from './create-upload.ts'
import { keepOpen, lockUpload } from './find-upload.ts'
import { collectObjects, holdObjects } from './hold-objects.ts'

type Deps = { db: Database; store: Pick<ObjectStore, 'put' | 'get' | 'head' | 'delete'> }

/** A file on its way, and the PUT that may add to it. */
type Incoming = { uploadId: string; name: UploadFileName; writer: string }

export type Beginning = {
  uploadId: string
  name: UploadFileName
  /** Where the PUT begins; 0 begins the file anew. */
  first: number
  totalBytes: number | null
}

/**
 * Lets one PUT add to a file; whichever was at it before may not any more. Throws AppError
 * `conflict` where the PUT does not begin at the first byte that is missing.
 */
export const beginIncoming = async (
  { db }: Pick<Deps, 'db'>,
  { uploadId, name, first, totalBytes }: Beginning,
): Promise<Incoming> => {
  const writer = randomUUID()
  const where = { uploadId_name: { uploadId, name } }
  await db.$transaction(async (tx) => {
    await lockUpload(tx, uploadId)
    if (first === 0) {
      await tx.incomingFile.deleteMany({ where: { uploadId, name } })
      await tx.incomingFile.create({ data: { uploadId, name, writer, totalBytes } })
      return
    }
    const file = await tx.incomingFile.findUnique({ where })
    if (file === null || Number(file.receivedBytes) !== first) {
      throw wrongOffset(name, file === null ? 0 : Number(file.receivedBytes))
    }
    if (file.totalBytes !== null && Number(file.totalBytes) !== totalBytes) {
      const message = `Content-Range: ${name} was said to have ${file.totalBytes} bytes, not ${totalBytes}`
      throw new AppError('conflict', message, { param: 'Content-Range' })
    }
    await tx.incomingFile.update({ where, data: { writer, totalBytes } })
  })
  return { uploadId, name, writer }
}

const wrongOffset = (name: string, offset: number): AppError =>
  new AppError('conflict', `Content-Range: the next byte of ${name} is ${offset}`, {
    param: 'Content-Range',
  })

/** Adds a part that is in the object store already, and returns how much of the file there is. */
export const addPart = async (
  { db, store }: Pick<Deps, 'db' | 'store'>,
  incoming: Incoming,
  { digest, sizeBytes }: StoredObject,
): Promise<number> =>
  db.$transaction(async (tx) => {
    const { uploadId, name } = incoming
    const { receivedBytes } = await requireWriter(tx, incoming)
    await holdObjects(tx, store, [digest])
    const part = { uploadId, name, offsetBytes: receivedBytes, digest, sizeBytes }
    await tx.incomingPart.create({ data: part })
    await keepOpen(tx, uploadId)
    const received = receivedBytes + BigInt(sizeBytes)
    const where = { uploadId_name: { uploadId, name } }
    await tx.incomingFile.update({ where, data: { receivedBytes: received } })
    return Number(received)
  })

const requireWriter = async (tx: Transaction, { uploadId, name, writer }: Incoming) => {
  await lockUpload(tx, uploadId)
  const where = { uploadId_name: { uploadId, name } }
  const file = await tx.incomingFile.findUnique({ where })
  if (file?.writer === writer) return file
  throw new AppError('conflict', `Another PUT of ${name} has begun meanwhile`)
}

/**
 * Makes one object of the parts, and it the file of the upload. The parts go; what cannot be done
 * of that now, the sweep of the object store does.
 */
export const finishIncoming = async (
  { db, store }: Deps,
  incoming: Incoming,
  maxBytes: number,
): Promise<StoredObject> => {
  const { uploadId, name } = incoming
  const parts = await db.incomingPart.findMany({
    where: { uploadId, name },
    orderBy: { offsetBytes: 'asc' },
  })
  const whole = await concat(store, parts, maxBytes)
  await db.$transaction(async (tx) => {
    await requireWriter(tx, incoming)
    await holdObjects(tx, store, [whole.digest])
    await tx.uploadedFile.upsert({
      where: { uploadId_name: { uploadId, name } },
      create: { uploadId, name, ...whole },
      update: whole,
    })
    await tx.incomingFile.delete({ where: { uploadId_name: { uploadId, name } } })
    // Whatever was found of the files before no longer holds.
    const data = { status: 'PENDING', checkedUntil: null, problem: Prisma.DbNull } as const
    await tx.adapterUpload.update({ where: { id: uploadId }, data })
  })
  if (parts.length > 1) {
    const digests = parts.map(({ digest }) => digest)
    await collectObjects({ db, store }, digests).catch(() => 0)
  }
  return whole
}

type Part = { digest: string; sizeBytes: bigint }

const concat = async (
  store: Deps['store'],
  parts: readonly Part[],
  maxBytes: number,
): Promise<StoredObject> => {
  const [only, ...more] = parts
  if (only !== undefined && more.length === 0) {
    return { digest: only.digest, sizeBytes: Number(only.sizeBytes) }
  }
  const content = async function* (): AsyncGenerator<Uint8Array> {
    for (const { digest } of parts) yield* store.get(digest)
  }
  return store.put(content(), { maxBytes })
}
