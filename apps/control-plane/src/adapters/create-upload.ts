import { AppError, limits, ModelName, Slug } from '@punica/schema'
import { z } from 'zod'
import type { Commit } from '../audit/perform.ts'
import type { Transaction } from '../db/database.ts'
import type { CreateAdapterUploadInput } from '../generated/graphql.ts'
import { parseInput } from '../server/input.ts'
import { requireTenant } from '../tenants/find.ts'
import { lockTenant } from '../tenants/lock.ts'

const Input = z.object({ tenant: Slug, name: ModelName, baseModel: ModelName })

/** The files of an upload, and the most bytes of each. */
export const uploadFiles = {
  'adapter_config.json': limits.adapterConfigBytes,
  'adapter_model.safetensors': limits.adapterWeightsBytes,
} as const
export type UploadFileName = keyof typeof uploadFiles

const lifetimeMs = 3600_000
/** Uploads of one tenant that are neither published nor expired. */
const maxOpenUploads = 64

/**
 * Opens an upload, which lasts an hour. Throws AppError `not_found` for an unknown base model,
 * `conflict` where the name stands for something else, and `quota_exceeded`.
 */
export const createAdapterUpload = (commit: Commit, input: CreateAdapterUploadInput) => {
  const { tenant: slug, name, baseModel } = parseInput(Input, input)
  return commit(async ({ tx }) => {
    const tenant = await requireTenant(tx, slug)
    await lockTenant(tx, tenant.id)
    await requireBaseModel(tx, baseModel)
    await requireFreeName(tx, { tenantId: tenant.id, name, baseModel })
    const open = { tenantId: tenant.id, versionId: null, expiresAt: { gt: new Date() } }
    if ((await tx.adapterUpload.count({ where: open })) >= maxOpenUploads) {
      const message = `tenant ${slug} has ${maxOpenUploads} open uploads, the limit; publish some or wait until they expire`
      throw new AppError('quota_exceeded', message)
    }
    const expiresAt = new Date(Date.now() + lifetimeMs)
    const data = { tenantId: tenant.id, name, baseModelName: baseModel, expiresAt }
    const upload = await tx.adapterUpload.create({ data })
    return { __typename: 'CreateAdapterUploadPayload' as const, upload }
  })
}

const requireBaseModel = async (tx: Transaction, name: string): Promise<void> => {
  if ((await tx.baseModel.findUnique({ where: { name } })) !== null) return
  throw new AppError('not_found', `baseModel: there is no base model ${name}`, {
    param: 'baseModel',
  })
}

/** An adapter stays with its base model, and never hides a base model from its tenant. */
export const requireFreeName = async (
  tx: Transaction,
  { tenantId, name, baseModel }: { tenantId: string; name: string; baseModel: string },
): Promise<void> => {
  if ((await tx.baseModel.findUnique({ where: { name } })) !== null) {
    throw new AppError('conflict', `name: ${name} is the name of a base model`, { param: 'name' })
  }
  const where = { tenantId_name: { tenantId, name } }
  const adapter = await tx.adapter.findUnique({ where })
  if (adapter === null || adapter.baseModelName === baseModel) return
  throw new AppError(
    'conflict',
    `baseModel: adapter ${name} is for ${adapter.baseModelName}; use another name for ${baseModel}`,
    { param: 'baseModel' },
  )
}
