import { AliasName, AppError, limits, ModelName, Slug } from '@punica/schema'
import { z } from 'zod'
import type { Change, Commit } from '../audit/perform.ts'
import { adapterKey } from '../catalog/adapter-kind.ts'
import type {
  RemoveAdapterAliasInput,
  RollbackAdapterAliasInput,
  SetAdapterAliasInput,
} from '../generated/graphql.ts'
import type { Adapter } from '../generated/prisma/client.ts'
import { parseInput } from '../server/input.ts'
import { allRevisions } from './alias-rows.ts'
import { lockAdapter } from './find-adapter.ts'
import { type Share, writeAlias } from './write-alias.ts'

const Names = z.object({ tenant: Slug, name: ModelName })
const Alias = AliasName.nullish().transform((alias) => alias ?? 'default')
const Target = z.object({
  version: z.int().positive(),
  weight: z
    .number()
    .gt(0, 'must be above 0; leave the version out instead')
    .max(1e6)
    .nullish()
    .transform((weight) => weight ?? 1),
})
const SetInput = Names.extend({
  alias: Alias,
  targets: z
    .array(Target)
    .min(1, 'must name a version; removeAdapterAlias removes an alias')
    .max(limits.maxAliasTargets, `must be at most ${limits.maxAliasTargets}`)
    .refine(
      (targets) => new Set(targets.map(({ version }) => version)).size === targets.length,
      'must name each version once',
    ),
})
const RollbackInput = Names.extend({ alias: Alias, revision: z.int().positive().nullish() })
const RemoveInput = Names.extend({
  alias: AliasName.refine(
    (alias) => alias !== 'default',
    'must not be default: archive the adapter',
  ),
})

/**
 * Points an alias at versions. Throws AppError `not_found` for an unknown adapter or version and
 * `conflict` for an archived one, or above the number of aliases.
 */
export const setAdapterAlias = (commit: Commit, actor: string, input: SetAdapterAliasInput) => {
  const { tenant, name, alias, targets } = parseInput(SetInput, input)
  return commit(async (change) => {
    const adapter = await lockAdapter(change.tx, tenant, name)
    const total = targets.reduce((sum, { weight }) => sum + weight, 0)
    const shares: Share[] = []
    for (const { version, weight } of targets) {
      const { id } = await requireServed(change, adapter, version)
      shares.push({ versionId: id, weight: weight / total })
    }
    const row = await writeAlias(change.tx, { adapter, name: alias, shares, actor })
    announce(change, tenant, adapter)
    return { __typename: 'SetAdapterAliasPayload' as const, adapter, alias: row }
  })
}

const announce = (change: Change, tenant: string, { name }: Adapter): void =>
  change.changed('adapter', adapterKey(tenant, name))

const requireServed = async ({ tx }: Change, adapter: Adapter, version: number) => {
  const where = { adapterId_version: { adapterId: adapter.id, version } }
  const row = await tx.adapterVersion.findUnique({ where })
  if (row === null) {
    const message = `targets: ${adapter.name} has no version ${version}`
    throw new AppError('not_found', message, { param: 'targets' })
  }
  if (row.archivedAt !== null) throw archived(adapter.name, version)
  return row
}

const archived = (name: string, version: number): AppError =>
  new AppError('conflict', `Version ${version} of ${name} is archived and no longer served`)

/**
 * Takes an alias back, by default to what held before its newest change. A rollback counts as the
 * revision that it went back to, so that the next one goes back further. Throws AppError
 * `not_found` for an unknown adapter, alias or revision, `conflict` where there is nothing before
 * or a version of it is archived.
 */
export const rollbackAdapterAlias = (
  commit: Commit,
  actor: string,
  input: RollbackAdapterAliasInput,
) => {
  const { tenant, name, alias, revision } = parseInput(RollbackInput, input)
  return commit(async (change) => {
    const { tx } = change
    const adapter = await lockAdapter(tx, tenant, name)
    const { revisions } = await requireAlias(change, adapter, alias)
    const [current] = revisions
    const wanted = revision ?? (current?.origin ?? 1) - 1
    const target = revisions.find((one) => one.revision === wanted)
    if (target === undefined) {
      if (revision == null) {
        throw new AppError('conflict', `Alias ${alias} has nothing before this to go back to`)
      }
      const message = `revision: alias ${alias} has no revision ${revision}, or no longer`
      throw new AppError('not_found', message, { param: 'revision' })
    }
    for (const { version } of target.targets) {
      if (version.archivedAt !== null) throw archived(name, version.version)
    }
    const { targets: shares, origin } = target
    const row = await writeAlias(tx, { adapter, name: alias, shares, actor, origin })
    announce(change, tenant, adapter)
    return { __typename: 'RollbackAdapterAliasPayload' as const, adapter, alias: row }
  })
}

/** Removes an alias. Throws AppError `not_found` for an unknown adapter or alias. */
export const removeAdapterAlias = (commit: Commit, input: RemoveAdapterAliasInput) => {
  const { tenant, name, alias } = parseInput(RemoveInput, input)
  return commit(async (change) => {
    const adapter = await lockAdapter(change.tx, tenant, name)
    const { id } = await requireAlias(change, adapter, alias)
    await change.tx.adapterAlias.delete({ where: { id } })
    announce(change, tenant, adapter)
    return { __typename: 'RemoveAdapterAliasPayload' as const, adapter }
  })
}

const requireAlias = async ({ tx }: Change, adapter: Adapter, name: string) => {
  const where = { adapterId_name: { adapterId: adapter.id, name } }
  const alias = await tx.adapterAlias.findUnique({ where, include: allRevisions })
  if (alias !== null) return alias
  const message = `alias: ${adapter.name} has no alias ${name}`
  throw new AppError('not_found', message, { param: 'alias' })
}
