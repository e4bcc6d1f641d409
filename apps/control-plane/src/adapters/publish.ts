import { type AdapterManifest, adapterDigest, inspectAdapter, ModelShape } from '@punica/adapter'
import type { ObjectStore } from '@punica/object-store'
import { AppError } from '@punica/schema'
import type { Change, Commit } from '../audit/perform.ts'
import { adapterKey } from '../catalog/kinds.ts'
import type { Adapter, AdapterVersion } from '../generated/prisma/client.ts'
import { lockTenant } from '../tenants/lock.ts'
import { requireFreeName, type UploadFileName, uploadFiles } from './create-upload.ts'
import { lockUpload, requireOpen, type Upload } from './find-upload.ts'

type Deps = { store: Pick<ObjectStore, 'get'>; commit: Commit }

/** As many as a catalog record holds. */
const maxVersions = 64

/**
 * Makes an uploaded adapter servable: checked first, then recorded, then announced. The new version
 * takes over its bare name; the ones before stay servable as `name@version`. Publishing an upload
 * again, or what the newest version holds already, answers the version that there is.
 */
export const publishAdapter = async ({ store, commit }: Deps, upload: Upload) => {
  if (upload.versionId !== null) return commit((change) => findPublished(change, upload.versionId))
  requireOpen(upload)
  const files = requireFiles(upload)
  const manifest = await inspect(store, upload, files)
  const digest = adapterDigest(files)
  return commit(async (change) => {
    await lockUpload(change.tx, upload.id)
    await lockTenant(change.tx, upload.tenantId)
    await requireUnchanged(change, upload.id, files)
    await requireFreeName(change.tx, { ...upload, baseModel: upload.baseModelName })
    const adapter = await findOrCreateAdapter(change, upload)
    const version = await findOrCreateVersion(change, adapter, { digest, files, manifest })
    const where = { id: upload.id }
    await change.tx.adapterUpload.update({ where, data: { versionId: version.id } })
    change.changed('adapter', adapterKey(upload.tenant.slug, upload.name))
    return toPayload(adapter, version)
  })
}

const toPayload = (adapter: Adapter, version: AdapterVersion) => ({
  __typename: 'PublishAdapterPayload' as const,
  adapter,
  version,
})

const findPublished = async ({ tx }: Change, id: string | null) => {
  const { adapter, ...version } = await tx.adapterVersion.findUniqueOrThrow({
    where: { id: id ?? '' },
    include: { adapter: true },
  })
  return toPayload(adapter, version)
}

type File = { name: string; digest: string; sizeBytes: bigint }
type Files = File[]

const requireFiles = ({ files, id }: Upload): Files => {
  for (const name of Object.keys(uploadFiles)) {
    if (files.some((file) => file.name === name)) continue
    const message = `${name} has not been uploaded; PUT it to /uploads/${id}/${name}`
    throw new AppError('invalid_request', message, { param: name })
  }
  return files.map(({ name, digest, sizeBytes }) => ({ name, digest, sizeBytes }))
}

const inspect = async (
  store: Pick<ObjectStore, 'get'>,
  upload: Upload,
  files: Files,
): Promise<AdapterManifest> => {
  const find = (wanted: UploadFileName): File => {
    const file = files.find(({ name }) => name === wanted)
    if (file === undefined) throw new Error(`${wanted} is missing`)
    return file
  }
  const config = find('adapter_config.json')
  const weights = find('adapter_model.safetensors')
  const source = {
    config: await readWhole(store.get(config.digest), Number(config.sizeBytes)),
    weights: store.get(weights.digest),
    weightsBytes: Number(weights.sizeBytes),
  }
  return inspectAdapter(source, ModelShape.parse(upload.baseModel.shape))
}

const readWhole = async (
  stream: AsyncIterable<Uint8Array>,
  sizeBytes: number,
): Promise<Uint8Array> => {
  const bytes = new Uint8Array(sizeBytes)
  let at = 0
  for await (const chunk of stream) {
    bytes.set(chunk, at)
    at += chunk.length
  }
  return bytes
}

/** A file that was replaced while the old one was being checked is unchecked. */
const requireUnchanged = async ({ tx }: Change, uploadId: string, files: Files): Promise<void> => {
  const now = await tx.uploadedFile.findMany({ where: { uploadId } })
  if (adapterDigest(now) === adapterDigest(files)) return
  throw new AppError('conflict', 'The files were replaced while they were checked; publish again')
}

const findOrCreateAdapter = ({ tx }: Change, upload: Upload): Promise<Adapter> => {
  const { tenantId, name, baseModelName } = upload
  return tx.adapter.upsert({
    where: { tenantId_name: { tenantId, name } },
    create: { tenantId, name, baseModelName },
    update: {},
  })
}

const findOrCreateVersion = async (
  { tx }: Change,
  adapter: Adapter,
  { digest, files, manifest }: { digest: string; files: Files; manifest: AdapterManifest },
): Promise<AdapterVersion> => {
  const where = { adapterId: adapter.id }
  const newest = await tx.adapterVersion.findFirst({ where, orderBy: { version: 'desc' } })
  if (newest?.digest === digest) return newest
  const version = (newest?.version ?? 0) + 1
  if (version > maxVersions) {
    const message = `${adapter.name} has ${maxVersions} versions, the limit; publish under another name`
    throw new AppError('conflict', message)
  }
  await tx.adapterVersion.updateMany({ where, data: { weight: 0 } })
  return tx.adapterVersion.create({
    data: {
      adapterId: adapter.id,
      version,
      digest,
      rank: manifest.rank,
      targetModules: manifest.targetModules,
      numTensors: manifest.numTensors,
      sizeBytes: manifest.sizeBytes,
      weight: 1,
      files: { create: files },
    },
  })
}
