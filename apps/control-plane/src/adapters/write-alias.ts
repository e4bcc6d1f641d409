import { AppError, limits } from '@punica/schema'
import type { Transaction } from '../db/database.ts'
import type { Adapter, AdapterAlias } from '../generated/prisma/client.ts'
import { maxRevisions, newestRevision } from './alias-rows.ts'

/** A version and its share of an alias; the shares of one add up to 1. */
export type Share = { versionId: string; weight: number }

type NewRevision = {
  adapter: Pick<Adapter, 'id' | 'name'>
  /** Of the alias. */
  name: string
  shares: readonly Share[]
  /** Prefix of the key that does it. */
  actor: string
  /** The revision that it goes back to; absent: it is one of its own. */
  origin?: number
}

/** Gives an alias its next revision, the first where it is new. */
export const writeAlias = async (
  tx: Transaction,
  { adapter, name, shares, actor, origin }: NewRevision,
): Promise<AdapterAlias> => {
  const where = { adapterId_name: { adapterId: adapter.id, name } }
  const before = await tx.adapterAlias.findUnique({ where })
  const revision = (before?.revision ?? 0) + 1
  if (before === null) await requireRoom(tx, adapter)
  const alias = await tx.adapterAlias.upsert({
    where,
    create: { adapterId: adapter.id, name, revision },
    update: { revision },
  })
  await tx.aliasRevision.create({
    data: {
      aliasId: alias.id,
      revision,
      origin: origin ?? revision,
      actor,
      targets: { create: shares.map(({ versionId, weight }) => ({ versionId, weight })) },
    },
  })
  const forgotten = { aliasId: alias.id, revision: { lte: revision - maxRevisions } }
  await tx.aliasRevision.deleteMany({ where: forgotten })
  return alias
}

const requireRoom = async (tx: Transaction, { id, name }: NewRevision['adapter']) => {
  const count = await tx.adapterAlias.count({ where: { adapterId: id } })
  if (count < limits.maxAliases) return
  throw new AppError('conflict', `${name} has ${limits.maxAliases} aliases, the limit`)
}

/**
 * Gives a version a share of the bare name; the rest stays with those that have it, in proportion.
 * Without others it has all of it, and with a share of 0 nothing changes. Throws AppError
 * `conflict` where the name stands for as many versions as it may.
 */
export const shareBareName = async (
  tx: Transaction,
  adapter: Adapter,
  { versionId, weight, actor }: Share & { actor: string },
): Promise<void> => {
  const name = 'default'
  const where = { adapterId_name: { adapterId: adapter.id, name } }
  const alias = await tx.adapterAlias.findUnique({ where, include: newestRevision })
  const current = alias?.revisions.flatMap(({ targets }) => targets) ?? []
  if (weight === 0) return
  const others = weight === 1 ? [] : current.filter((target) => target.versionId !== versionId)
  const total = others.reduce((sum, target) => sum + target.weight, 0)
  const shares = [
    ...others.map((target) => ({
      versionId: target.versionId,
      weight: (target.weight / total) * (1 - weight),
    })),
    { versionId, weight: others.length === 0 ? 1 : weight },
  ]
  if (shares.length > limits.maxAliasTargets) {
    const message = `weight: ${adapter.name} stands for ${limits.maxAliasTargets} versions, the limit; set its alias anew first`
    throw new AppError('conflict', message, { param: 'weight' })
  }
  if (isSame(current, shares)) return
  await writeAlias(tx, { adapter, name, shares, actor })
}

const isSame = (one: readonly Share[], other: readonly Share[]): boolean =>
  one.length === other.length &&
  other.every((share) =>
    one.some((s) => s.versionId === share.versionId && Math.abs(s.weight - share.weight) < 1e-9),
  )
