import type { AdapterManifest } from '@punica/adapter'
import { AppError, limits } from '@punica/schema'
import type { Change } from '../audit/perform.ts'
import { adapterKey } from '../catalog/adapter-kind.ts'
import type { Adapter, AdapterVersion } from '../generated/prisma/client.ts'
import type { Upload } from './find-upload.ts'
import type { StoredProbe } from './probe-adapter.ts'
import { shareBareName } from './write-alias.ts'

export type VersionFile = { name: string; digest: string; sizeBytes: bigint }

export type NewVersion = {
  upload: Upload
  digest: string
  files: readonly VersionFile[]
  manifest: AdapterManifest
  probe: StoredProbe
  /** Share of the bare name. */
  weight: number
  actor: string
}

export type Published = {
  __typename: 'PublishAdapterPayload'
  adapter: Adapter
  version: AdapterVersion
}

/** Records a checked upload as a version of its adapter and gives it its share of the name. */
export const makeVersion = async (change: Change, made: NewVersion): Promise<Published> => {
  const { upload, weight, actor } = made
  const { tenantId, name, baseModelName } = upload
  const adapter = await change.tx.adapter.upsert({
    where: { tenantId_name: { tenantId, name } },
    create: { tenantId, name, baseModelName },
    update: { archivedAt: null },
  })
  const version = await findOrCreateVersion(change, adapter, made)
  await shareBareName(change.tx, adapter, { versionId: version.id, weight, actor })
  change.changed('adapter', adapterKey(upload.tenant.slug, name))
  return { __typename: 'PublishAdapterPayload', adapter, version }
}

/** What became of an upload that is published. */
export const findPublished = async ({ tx }: Change, uploadId: string): Promise<Published> => {
  const { version } = await tx.adapterUpload.findUniqueOrThrow({
    where: { id: uploadId },
    include: { version: { include: { adapter: true } } },
  })
  if (version === null) throw new AppError('conflict', 'The upload is published no more')
  const { adapter, ...row } = version
  return { __typename: 'PublishAdapterPayload', adapter, version: row }
}

const findOrCreateVersion = async (
  { tx }: Change,
  adapter: Adapter,
  { digest, files, manifest, probe }: NewVersion,
): Promise<AdapterVersion> => {
  const of = { adapterId: adapter.id }
  const newest = await tx.adapterVersion.findFirst({ where: of, orderBy: { version: 'desc' } })
  if (newest?.digest === digest && newest.archivedAt === null) return newest
  const numServed = await tx.adapterVersion.count({ where: { ...of, archivedAt: null } })
  if (numServed >= limits.maxVersions) {
    const message = `${adapter.name} has ${limits.maxVersions} versions, the limit; archive some first`
    throw new AppError('conflict', message)
  }
  return tx.adapterVersion.create({
    data: {
      ...of,
      version: (newest?.version ?? 0) + 1,
      digest,
      rank: manifest.rank,
      targetModules: manifest.targetModules,
      numTensors: manifest.numTensors,
      sizeBytes: manifest.sizeBytes,
      probe,
      files: { create: [...files] },
    },
  })
}
