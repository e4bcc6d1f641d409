import type { ObjectStore } from '@punica/object-store'
import { AppError, limits } from '@punica/schema'
import type { Database } from '../db/database.ts'
import type { Actor } from '../keys/actor.ts'
import { type UploadFileName, uploadFiles } from './create-upload.ts'
import { requireOpen, requireUpload } from './find-upload.ts'
import { addPart, beginIncoming, finishIncoming } from './incoming.ts'
import { splitStream } from './split-stream.ts'

type Deps = {
  db: Database
  store: Pick<ObjectStore, 'put' | 'get' | 'head' | 'delete'>
  actor: Actor
}

/** Bytes [first, last] of a file of `total`; none where `last` is before `first`. */
export type ByteRange = { first: number; last: number; total: number }

export type ReceivedFile = {
  uploadId: string
  name: string
  body: AsyncIterable<Uint8Array>
  /** What the sender says, or null. */
  contentLength: number | null
  /** The part of the file that the body is; null: all of it. */
  range: ByteRange | null
}

export type Received =
  | { type: 'whole'; digest: string; sizeBytes: number }
  /** More must come, from this byte on. */
  | { type: 'part'; receivedBytes: number }

/**
 * Takes a file of an upload, or the next part of one, into the object store as a stream, in parts
 * that each outlive this process. What has arrived of a file that breaks off can be gone on from;
 * the file that was there before stays until all of the new one has come. Throws AppError
 * `not_found`, `conflict`, `invalid_request`, `payload_too_large`.
 */
export const receiveFile = async (
  { db, store, actor }: Deps,
  { uploadId, name: given, body, contentLength, range }: ReceivedFile,
): Promise<Received> => {
  const upload = await requireUpload(db, actor, uploadId)
  requireOpen(upload)
  const name = requireFileName(given)
  const maxBytes = uploadFiles[name]
  const totalBytes = range?.total ?? contentLength
  if (totalBytes !== null && totalBytes > maxBytes) throw tooLarge(name, maxBytes)
  if (range !== null) checkRange(range, contentLength)

  const beginning = { uploadId: upload.id, name, first: range?.first ?? 0, totalBytes }
  const incoming = await beginIncoming({ db }, beginning)
  const stream = splitStream(body)
  let received = beginning.first
  while (!(await stream.isDone())) {
    const end = range === null ? maxBytes : range.last + 1
    if (received >= end) throw range === null ? tooLarge(name, maxBytes) : tooLong(range)
    const size = Math.min(limits.uploadPartBytes, end - received)
    const part = await store.put(stream.take(size), { maxBytes: size })
    received = await addPart({ db, store }, incoming, part)
  }
  if (range !== null && received < range.total) return { type: 'part', receivedBytes: received }
  return { type: 'whole', ...(await finishIncoming({ db, store }, incoming, maxBytes)) }
}

/** How much of a file there is. Throws AppError `not_found`. */
export const findReceived = async (
  { db, actor }: Omit<Deps, 'store'>,
  { uploadId, name: given }: { uploadId: string; name: string },
): Promise<{ receivedBytes: number; totalBytes: number | null; isComplete: boolean }> => {
  const upload = await requireUpload(db, actor, uploadId)
  const name = requireFileName(given)
  const incoming = await db.incomingFile.findUnique({
    where: { uploadId_name: { uploadId: upload.id, name } },
  })
  if (incoming !== null) {
    const { receivedBytes, totalBytes: total } = incoming
    const totalBytes = total === null ? null : Number(total)
    return { receivedBytes: Number(receivedBytes), totalBytes, isComplete: false }
  }
  const file = upload.files.find((one) => one.name === name)
  if (file === undefined) return { receivedBytes: 0, totalBytes: null, isComplete: false }
  const sizeBytes = Number(file.sizeBytes)
  return { receivedBytes: sizeBytes, totalBytes: sizeBytes, isComplete: true }
}

const requireFileName = (name: string): UploadFileName => {
  if (name === 'adapter_config.json' || name === 'adapter_model.safetensors') return name
  const known = Object.keys(uploadFiles).join(' and ')
  throw new AppError('not_found', `The files of an upload are ${known}`, { param: 'file' })
}

const checkRange = ({ first, last, total }: ByteRange, contentLength: number | null): void => {
  const length = last - first + 1
  if (contentLength !== null && contentLength !== length) {
    throw invalidRange(`says ${length} bytes, and Content-Length ${contentLength}`)
  }
  if (last + 1 < total && length < limits.uploadPartBytes) {
    throw invalidRange(
      `a part that is not the last brings at least ${limits.uploadPartBytes} bytes, not ${length}`,
    )
  }
}

const tooLong = ({ last }: ByteRange): AppError =>
  invalidRange(`more came than the bytes up to ${last}`)

const invalidRange = (message: string): AppError =>
  new AppError('invalid_request', `Content-Range: ${message}`, { param: 'Content-Range' })

const tooLarge = (name: string, maxBytes: number): AppError =>
  new AppError('payload_too_large', `${name} has more than ${maxBytes} bytes, the limit`, {
    param: name,
  })
