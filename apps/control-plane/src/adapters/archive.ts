import { AppError, ModelName, Slug } from '@punica/schema'
import { z } from 'zod'
import type { Change, Commit } from '../audit/perform.ts'
import { adapterKey } from '../catalog/adapter-kind.ts'
import type { ArchiveAdapterInput, ArchiveAdapterVersionInput } from '../generated/graphql.ts'
import type { Adapter } from '../generated/prisma/client.ts'
import type { Inventory } from '../nodes/inventory.ts'
import { parseInput } from '../server/input.ts'
import { newestRevision } from './alias-rows.ts'
import { lockAdapter } from './find-adapter.ts'
import { runningDigests } from './sweep-objects.ts'

type Deps = { commit: Commit; inventory: Pick<Inventory, 'list'> }

const AdapterInput = z.object({ tenant: Slug, name: ModelName })
const VersionInput = AdapterInput.extend({ version: z.int().positive() })

/**
 * Ends the service of a version. Throws AppError `not_found`, and `conflict` while an alias stands
 * for it or a node runs a request on it. Archiving it again changes nothing.
 */
export const archiveAdapterVersion = (
  { commit, inventory }: Deps,
  input: ArchiveAdapterVersionInput,
) => {
  const { tenant, name, version: number } = parseInput(VersionInput, input)
  return commit(async (change) => {
    const { tx } = change
    const adapter = await lockAdapter(tx, tenant, name)
    const where = { adapterId_version: { adapterId: adapter.id, version: number } }
    const version = await tx.adapterVersion.findUnique({ where })
    if (version === null) {
      const message = `version: ${name} has no version ${number}`
      throw new AppError('not_found', message, { param: 'version' })
    }
    const aliases = await findAliases(change, adapter)
    const [used] = aliases.filter((alias) => alias.versionIds.includes(version.id))
    if (used !== undefined) {
      const message = `Alias ${used.name} of ${name} stands for version ${number}; set it to another first`
      throw new AppError('conflict', message)
    }
    await requireIdle(change, inventory, { tenant, adapter, digests: [version.digest] })
    const archivedAt = version.archivedAt ?? new Date()
    const row = await tx.adapterVersion.update({ where, data: { archivedAt } })
    change.changed('adapter', adapterKey(tenant, name))
    return { __typename: 'ArchiveAdapterVersionPayload' as const, version: row }
  })
}

/**
 * Ends the service of an adapter. Throws AppError `not_found`, and `conflict` while it is granted,
 * has other aliases than its bare name, or a node runs a request on a version of it.
 */
export const archiveAdapter = ({ commit, inventory }: Deps, input: ArchiveAdapterInput) => {
  const { tenant, name } = parseInput(AdapterInput, input)
  return commit(async (change) => {
    const { tx } = change
    const adapter = await lockAdapter(tx, tenant, name)
    const of = { adapterId: adapter.id }
    const grant = await tx.adapterGrant.findFirst({ where: of, include: { tenant: true } })
    if (grant !== null) {
      const message = `${name} is granted to tenant ${grant.tenant.slug}; revoke that first`
      throw new AppError('conflict', message)
    }
    const alias = (await findAliases(change, adapter)).find((one) => one.name !== 'default')
    if (alias !== undefined) {
      throw new AppError('conflict', `${name} has the alias ${alias.name}; remove that first`)
    }
    const versions = await tx.adapterVersion.findMany({ where: { ...of, archivedAt: null } })
    const digests = versions.map(({ digest }) => digest)
    await requireIdle(change, inventory, { tenant, adapter, digests })
    const archivedAt = new Date()
    await tx.adapterAlias.deleteMany({ where: of })
    await tx.adapterVersion.updateMany({ where: { ...of, archivedAt: null }, data: { archivedAt } })
    const row = await tx.adapter.update({ where: { id: adapter.id }, data: { archivedAt } })
    change.changed('adapter', adapterKey(tenant, name))
    return { __typename: 'ArchiveAdapterPayload' as const, adapter: row }
  })
}

const findAliases = async ({ tx }: Change, { id }: Adapter) => {
  const rows = await tx.adapterAlias.findMany({
    where: { adapterId: id },
    include: newestRevision,
    orderBy: { name: 'asc' },
  })
  return rows.map(({ name, revisions }) => ({
    name,
    versionIds: revisions.flatMap(({ targets }) => targets.map(({ versionId }) => versionId)),
  }))
}

type Idle = { tenant: string; adapter: Adapter; digests: readonly string[] }

/** Requests of those who may use this adapter; others may have the same weights under theirs. */
const requireIdle = async (
  { tx }: Change,
  inventory: Pick<Inventory, 'list'>,
  { tenant, adapter, digests }: Idle,
): Promise<void> => {
  const grants = await tx.adapterGrant.findMany({
    where: { adapterId: adapter.id },
    include: { tenant: true },
  })
  const users = new Set([tenant, ...grants.map((grant) => grant.tenant.slug)])
  const running = runningDigests(inventory, users)
  if (!digests.some((digest) => running.has(digest))) return
  throw new AppError('conflict', `Requests run on ${adapter.name}; try again when they have ended`)
}
