import { AppError, defaultAlias } from '@punica/schema'
import { type Act, type Commit, perform } from '../audit/perform.ts'
import type {
  AdapterAliasResolvers,
  AdapterResolvers,
  AdapterVersionResolvers,
  MutationResolvers,
  QueryResolvers,
} from '../generated/graphql.ts'
import type { AdapterAlias as AliasRow } from '../generated/prisma/client.ts'
import { administers, belongsTo, requireAdminOf } from '../keys/actor.ts'
import type { Context } from '../server/context.ts'
import { toTraffic } from '../usage/traffic.ts'
import { removeAdapterAlias, rollbackAdapterAlias, setAdapterAlias } from './aliases.ts'
import { archiveAdapter, archiveAdapterVersion } from './archive.ts'
import { grantAdapter, revokeAdapterGrant } from './grant.ts'
import { listAdapters } from './list.ts'
import type { AliasWithTargets } from './loaders.ts'
import { StoredProbe } from './probe-adapter.ts'

export const adapterQueries: Pick<QueryResolvers, 'adapters' | 'adapter'> = {
  adapters: (_, args, context) => listAdapters(context, args),

  adapter: (_, { tenant, name }, { actor, db }) => {
    const mine = actor.tenant?.id
    return db.adapter.findFirst({
      where: {
        tenant: { slug: tenant },
        name,
        ...(mine === undefined
          ? {}
          : { OR: [{ tenantId: mine }, { grants: { some: { tenantId: mine } } }] }),
      },
    })
  },
}

type AdapterMutations = Pick<
  MutationResolvers,
  | 'grantAdapter'
  | 'revokeAdapterGrant'
  | 'setAdapterAlias'
  | 'rollbackAdapterAlias'
  | 'removeAdapterAlias'
  | 'archiveAdapterVersion'
  | 'archiveAdapter'
>

/** A change of one adapter, by an admin of the tenant that owns it. */
const change = <T>(
  context: Context,
  act: Act & { tenant: string },
  work: (commit: Commit) => Promise<T>,
) =>
  perform(context, act, async (commit) => {
    requireAdminOf(context.actor, act.tenant)
    return work(commit)
  })

export const adapterMutations: AdapterMutations = {
  grantAdapter: (_, { input }, context) => {
    const { tenant, name, to } = input
    const act = { action: 'grantAdapter', tenant, target: `${name} to ${to}` }
    return change(context, act, (commit) => grantAdapter(commit, input))
  },

  revokeAdapterGrant: (_, { input }, context) => {
    const { tenant, name, to } = input
    const act = { action: 'revokeAdapterGrant', tenant, target: `${name} to ${to}` }
    return change(context, act, (commit) => revokeAdapterGrant(commit, input))
  },

  setAdapterAlias: (_, { input }, context) => {
    const { tenant, name, alias, targets } = input
    const shares = targets.map(({ version, weight }) => `${version}:${weight ?? 1}`).join(' ')
    const target = `${name}@${alias ?? defaultAlias} to ${shares}`
    return change(context, { action: 'setAdapterAlias', tenant, target }, (commit) =>
      setAdapterAlias(commit, context.actor.keyPrefix, input),
    )
  },

  rollbackAdapterAlias: (_, { input }, context) => {
    const { tenant, name, alias, revision } = input
    const target = `${name}@${alias ?? defaultAlias} to ${revision ?? 'the one before'}`
    return change(context, { action: 'rollbackAdapterAlias', tenant, target }, (commit) =>
      rollbackAdapterAlias(commit, context.actor.keyPrefix, input),
    )
  },

  removeAdapterAlias: (_, { input }, context) => {
    const { tenant, name, alias } = input
    const act = { action: 'removeAdapterAlias', tenant, target: `${name}@${alias}` }
    return change(context, act, (commit) => removeAdapterAlias(commit, input))
  },

  archiveAdapterVersion: (_, { input }, context) => {
    const { tenant, name, version } = input
    const act = { action: 'archiveAdapterVersion', tenant, target: `${name}@${version}` }
    const { inventory } = context
    return change(context, act, (commit) => archiveAdapterVersion({ commit, inventory }, input))
  },

  archiveAdapter: (_, { input }, context) => {
    const act = { action: 'archiveAdapter', tenant: input.tenant, target: input.name }
    const { inventory } = context
    return change(context, act, (commit) => archiveAdapter({ commit, inventory }, input))
  },
}

export const Adapter: AdapterResolvers = {
  tenant: ({ tenantId }, _, { loaders }) => loaders.tenant.load(tenantId),
  baseModel: ({ baseModelName }) => baseModelName,
  traffic: (adapter, _, { actor }) => {
    if (belongsTo(actor, adapter.tenantId)) return toTraffic(adapter)
    throw new AppError('forbidden', `This key may not see the traffic of adapter ${adapter.name}`)
  },
  versions: ({ id }, _, { loaders }) => loaders.versionsOfAdapter.load(id),
  aliases: ({ id }, _, { loaders }) => loaders.aliasesOfAdapter.load(id),
  grants: ({ id, name, tenantId }, _, { actor, loaders }) => {
    if (administers(actor, tenantId)) return loaders.grantsOfAdapter.load(id)
    throw new AppError('forbidden', `This key may not see the grants of adapter ${name}`)
  },
}

export const AdapterVersion: AdapterVersionResolvers = {
  weight: async ({ id, adapterId }, _, { loaders }) => {
    const aliases = await loaders.aliasesOfAdapter.load(adapterId)
    const targets = targetsOf(aliases.find(({ name }) => name === defaultAlias))
    return targets.find(({ versionId }) => versionId === id)?.weight ?? 0
  },
  aliases: async ({ id, adapterId }, _, { loaders }) => {
    const aliases = await loaders.aliasesOfAdapter.load(adapterId)
    return aliases
      .filter((alias) => targetsOf(alias).some(({ versionId }) => versionId === id))
      .map(({ name }) => name)
  },
  probe: ({ probe }) => StoredProbe.nullable().parse(probe),
}

const targetsOf = (alias: Pick<AliasWithTargets, 'revisions'> | undefined) =>
  alias?.revisions.flatMap(({ targets }) => targets) ?? []

const toTarget = ({ version, weight }: { version: { version: number }; weight: number }) => ({
  version: version.version,
  weight,
})

/** The revision of an alias that holds. */
const newestOf = async ({ id, adapterId }: AliasRow, { loaders }: Context) => {
  const aliases = await loaders.aliasesOfAdapter.load(adapterId)
  const newest = aliases.find((alias) => alias.id === id)?.revisions[0]
  if (newest === undefined) throw new Error(`alias ${id} has no revision`)
  return newest
}

export const AdapterAlias: AdapterAliasResolvers = {
  targets: async (alias, _, context) => (await newestOf(alias, context)).targets.map(toTarget),
  updatedAt: async (alias, _, context) => (await newestOf(alias, context)).createdAt,
  history: async ({ id, name, adapterId }, { first }, { actor, loaders }) => {
    const adapter = await loaders.adapter.load(adapterId)
    if (!administers(actor, adapter.tenantId)) {
      throw new AppError('forbidden', `This key may not see the history of alias ${name}`)
    }
    const revisions = await loaders.revisionsOfAlias.load(id)
    return revisions
      .slice(0, Math.max(0, first ?? revisions.length))
      .map(({ targets, ...revision }) => ({
        ...revision,
        targets: targets.map(toTarget),
      }))
  },
}
