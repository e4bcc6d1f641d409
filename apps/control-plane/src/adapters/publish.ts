import { type AdapterManifest, adapterDigest, inspectAdapter, ModelShape } from '@punica/adapter'
import type { ObjectStore } from '@punica/object-store'
import { AdapterRef, AppError } from '@punica/schema'
import { z } from 'zod'
import type { Change, Commit } from '../audit/perform.ts'
import type { Database } from '../db/database.ts'
import type { Gate } from '../server/gate.ts'
import { parseInput } from '../server/input.ts'
import { lockTenant } from '../tenants/lock.ts'
import { type Claim, claimCheck } from './check-claim.ts'
import { requireFreeName, type UploadFileName, uploadFiles } from './create-upload.ts'
import { lockUpload, requireOpen, type Upload } from './find-upload.ts'
import { holdObjects } from './hold-objects.ts'
import { findPublished, makeVersion, type Published, type VersionFile } from './make-version.ts'
import type { ProbeAdapter } from './probe-adapter.ts'

export type PublishDeps = {
  db: Database
  store: Pick<ObjectStore, 'get' | 'head'>
  probeAdapter: ProbeAdapter
  inspections: Gate
  commit: Commit
  /** Prefix of the key that does it. */
  actor: string
}

const Weight = z
  .number()
  .min(0, 'must be at least 0')
  .max(1, 'must be at most 1')
  .nullish()
  .transform((weight) => weight ?? 1)
const Options = z.object({ weight: Weight })

/**
 * Makes an uploaded adapter servable: its files are checked, a node tries it, then it is recorded
 * and announced. The new version takes its share of the bare name; the ones before stay servable as
 * `name@version`. Publishing an upload again, or what the newest version holds already, answers the
 * version that there is. A process that dies on the way leaves an upload that may be published.
 */
export const publishAdapter = async (
  deps: PublishDeps,
  upload: Upload,
  options: { weight?: number | null | undefined },
): Promise<Published> => {
  const { db, commit, inspections } = deps
  const { weight } = parseInput(Options, options)
  if (upload.versionId !== null) return commit((change) => findPublished(change, upload.id))
  requireOpen(upload)
  const files = requireFiles(upload)
  const claim = await claimCheck(db, upload.id)
  if (claim === null) return commit((change) => findPublished(change, upload.id))
  try {
    return await inspections.run(() => checkAndRecord(deps, claim, { upload, files, weight }))
  } catch (cause) {
    await claim.release(cause)
    throw cause
  }
}

type Checked = { upload: Upload; files: VersionFile[]; weight: number }

const checkAndRecord = async (
  { store, probeAdapter, commit, actor }: PublishDeps,
  claim: Claim,
  { upload, files, weight }: Checked,
): Promise<Published> => {
  const manifest = await inspect(store, upload, files)
  const digest = adapterDigest(files)
  const probe = await probeAdapter(toRef({ digest, manifest, files }), requirePool(upload))
  return commit(async (change) => {
    await lockUpload(change.tx, upload.id)
    await claim.require(change.tx)
    await lockTenant(change.tx, upload.tenantId)
    await requireUnchanged(change, upload.id, files)
    await requireFreeName(change.tx, { ...upload, baseModel: upload.baseModelName })
    await holdObjects(
      change.tx,
      store,
      files.map((file) => file.digest),
    )
    const made = { upload, digest, files, manifest, probe, weight, actor }
    const published = await makeVersion(change, made)
    await claim.finish(change.tx, published.version.id)
    return published
  })
}

const requireFiles = ({ files, id }: Upload): VersionFile[] => {
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
  files: readonly VersionFile[],
): Promise<AdapterManifest> => {
  const find = (wanted: UploadFileName): VersionFile => {
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

type Sound = { digest: string; manifest: AdapterManifest; files: readonly VersionFile[] }

const toRef = ({ digest, manifest: { rank, sizeBytes }, files }: Sound): AdapterRef =>
  AdapterRef.parse({
    digest,
    rank,
    sizeBytes,
    files: files.map((file) => ({ ...file, sizeBytes: Number(file.sizeBytes) })),
  })

const requirePool = ({ baseModel: { name, pool } }: Upload): string => {
  if (pool !== null) return pool.name
  throw new AppError('unavailable', `No pool serves base model ${name} at present`)
}

/** A file that was replaced while the old one was being checked is unchecked. */
const requireUnchanged = async (
  { tx }: Change,
  uploadId: string,
  files: readonly VersionFile[],
): Promise<void> => {
  const now = await tx.uploadedFile.findMany({ where: { uploadId } })
  if (adapterDigest(now) === adapterDigest(files)) return
  throw new AppError('conflict', 'The files were replaced while they were checked; publish again')
}
