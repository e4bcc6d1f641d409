import { AppError, ModelName, Slug } from '@punica/schema'
import { z } from 'zod'
import { createAdapterUpload, uploadFiles } from '../adapters/create-upload.ts'
import { requireUpload } from '../adapters/find-upload.ts'
import { type PublishDeps, publishAdapter } from '../adapters/publish.ts'
import { receiveFile } from '../adapters/receive-file.ts'
import type { ImportAdapterInput } from '../generated/graphql.ts'
import { type Actor, requireAdminOf, requireOperator } from '../keys/actor.ts'
import type { Deps } from '../server/context.ts'
import { parseInput } from '../server/input.ts'
import { parseUrl, urlSource } from './fetch-url.ts'
import { folderSource } from './read-folder.ts'

/** From where adapters may be imported; by default from nowhere. */
export type ImportSettings = {
  /** Folders of this machine. */
  roots: readonly string[]
  /** Hosts, with their port unless it is the scheme's: `models.example.com`, `*.example.com`. */
  hosts: readonly string[]
  /** Also hosts with private addresses. */
  allowPrivate: boolean
}

/** Where the files of an adapter are read from. */
export type FileSource = { open(name: string): Promise<OpenFile> }

type OpenFile = {
  body: AsyncIterable<Uint8Array>
  /** null: only the end will tell. */
  sizeBytes: number | null
  /** To be called however far it was read. */
  close(): void
}

/** For both files, however slowly they come. */
const timeoutMs = 30 * 60_000

const Input = z.object({
  tenant: Slug,
  name: ModelName,
  baseModel: ModelName,
  folder: z.string().max(4096).nullish(),
  url: z.string().max(4096).nullish(),
  weight: z.number().nullish(),
})

type ImportDeps = PublishDeps & Pick<Deps, 'store' | 'uploads'> & { imports: ImportSettings }

/**
 * Uploads and publishes an adapter that this server reads for its caller. An import that fails
 * leaves an upload, which says why and expires. Throws AppError: `forbidden` for a place that is not
 * allowed, and whatever uploading and publishing throw.
 */
export const importAdapter = async (
  { imports, uploads, ...deps }: ImportDeps,
  actor: Actor,
  input: ImportAdapterInput,
) => {
  requireAdminOf(actor, input.tenant)
  const parsed = parseInput(Input, input)
  const { tenant, name, baseModel, weight } = parsed
  const signal = AbortSignal.timeout(timeoutMs)
  const source = await openSource(imports, actor, parsed, signal)
  const created = await createAdapterUpload(deps.commit, { tenant, name, baseModel })
  const uploadId = created.upload.id
  await uploads.run(async () => {
    for (const file of Object.keys(uploadFiles)) {
      const { body, sizeBytes, close } = await source.open(file)
      const received = { uploadId, name: file, body, contentLength: sizeBytes, range: null }
      await receiveFile({ db: deps.db, store: deps.store, actor }, received).finally(close)
    }
  })
  const upload = await requireUpload(deps.db, actor, uploadId)
  const { adapter, version } = await publishAdapter(deps, upload, { weight })
  const published = await requireUpload(deps.db, actor, uploadId)
  return { __typename: 'ImportAdapterPayload' as const, upload: published, adapter, version }
}

const openSource = async (
  imports: ImportSettings,
  actor: Actor,
  { folder, url }: z.output<typeof Input>,
  signal: AbortSignal,
): Promise<FileSource> => {
  if (typeof folder === 'string' && typeof url !== 'string') {
    requireOperator(actor)
    return folderSource(imports.roots, folder)
  }
  if (typeof url === 'string' && typeof folder !== 'string') {
    return urlSource(imports, parseUrl(url).href, signal)
  }
  throw new AppError('invalid_request', 'url: give either a folder or a url', { param: 'url' })
}
