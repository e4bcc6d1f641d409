import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import path from 'node:path'
import { pipeline } from 'node:stream/promises'
import { AppError } from '@punica/schema'
import {
  AdapterUploadDocument,
  CreateAdapterUploadDocument,
  PublishAdapterDocument,
  type UploadFieldsFragment,
  type VersionFieldsFragment,
} from '../generated/graphql.ts'
import { UsageError } from '../usage-error.ts'
import type { ControlPlane } from './connect.ts'
import { uploadFile } from './upload-file.ts'

const adapterFiles = ['adapter_config.json', 'adapter_model.safetensors']

export type Push = {
  tenant: string
  name: string
  baseModel: string
  /** A PEFT folder. */
  folder: string
  /** Share of the requests to the bare name that the new version takes. */
  weight?: number
}

/** What a push tells on its way. */
export type PushEvents = {
  /** An upload that an earlier push has left, to go on with; null: none. */
  earlierUpload?: string | null
  onUpload?: (upload: { id: string; isResumed: boolean }) => Promise<void>
  onFile?: (file: { name: string; sizeBytes: number; keptBytes: number }) => {
    show(doneBytes: number): void
    close(): void
  }
  onPublish?: () => void
  signal?: AbortSignal
}

type Upload = UploadFieldsFragment
type UploadFile = Upload['files'][number]

/**
 * Uploads a PEFT folder and publishes it as the newest version of the adapter. What the server has
 * kept of a file is compared with the file by its digest, so a part of another file is never
 * published. Rejects with UsageError where the folder is none of PEFT, and with AppError.
 */
export const pushAdapter = async (
  controlPlane: ControlPlane,
  { folder, weight, ...input }: Push,
  events: PushEvents = {},
): Promise<VersionFieldsFragment> => {
  const sizes = await sizesOf(folder)
  const earlier = await findEarlier(controlPlane, events.earlierUpload ?? null)
  const { id, files } =
    earlier ?? (await controlPlane.change(CreateAdapterUploadDocument, { input })).upload
  const isResumed = earlier !== null
  await events.onUpload?.({ id, isResumed })
  for (const file of files) {
    const local = { path: path.join(folder, file.name), sizeBytes: sizes.get(file.name) ?? 0 }
    await sendFile(controlPlane, { uploadId: id, file, local, isResumed }, events)
  }
  events.onPublish?.()
  const published = await controlPlane.change(PublishAdapterDocument, {
    input: { uploadId: id, ...(weight === undefined ? {} : { weight }) },
  })
  return published.version
}

const sizesOf = async (folder: string): Promise<ReadonlyMap<string, number>> => {
  const sizes = new Map<string, number>()
  for (const name of adapterFiles) {
    const found = await stat(path.join(folder, name)).catch(() => null)
    if (found?.isFile()) sizes.set(name, found.size)
  }
  const missing = adapterFiles.filter((name) => !sizes.has(name))
  if (missing.length === 0) return sizes
  throw new UsageError(`${folder} is no PEFT folder: it has no ${missing.join(' and no ')}`)
}

/** The upload that is left, if files may still be put into it. */
const findEarlier = async ({ ask }: ControlPlane, id: string | null): Promise<Upload | null> => {
  if (id === null) return null
  const { adapterUpload } = await ask(AdapterUploadDocument, { id })
  const isOpen = adapterUpload?.status === 'PENDING' || adapterUpload?.status === 'REJECTED'
  return isOpen ? adapterUpload : null
}

type Sending = {
  uploadId: string
  file: UploadFile
  local: { path: string; sizeBytes: number }
  isResumed: boolean
}

const sendFile = async (
  controlPlane: ControlPlane,
  { uploadId, file: { name, ...file }, local, isResumed }: Sending,
  { onFile, signal }: PushEvents,
): Promise<void> => {
  const digest = await digestOf(local.path)
  if (file.digest === digest) return
  const { url, authorization, ask } = controlPlane
  const send = async (goesOn: boolean): Promise<boolean> => {
    const keptBytes = goesOn ? file.receivedBytes : 0
    const progress = onFile?.({ name, sizeBytes: local.sizeBytes, keptBytes })
    await uploadFile({
      // Where the key may go was said by the user, and not by the server.
      url: `${url}/uploads/${uploadId}/${name}`,
      path: local.path,
      authorization,
      isResumed: goesOn,
      ...(progress === undefined ? {} : { onProgress: progress.show }),
      ...(signal === undefined ? {} : { signal }),
    }).finally(() => progress?.close())
    const { adapterUpload } = await ask(AdapterUploadDocument, { id: uploadId })
    return adapterUpload?.files.find((one) => one.name === name)?.digest === digest
  }
  // What was kept of a file that has changed since does not fit to the rest.
  if ((await send(isResumed)) || (isResumed && (await send(false)))) return
  throw new AppError('conflict', `${local.path} was changed while it was sent; push it again`)
}

/** sha256 in lower-case hex. */
const digestOf = async (file: string): Promise<string> => {
  const hash = createHash('sha256')
  await pipeline(createReadStream(file), hash)
  return hash.digest('hex')
}
