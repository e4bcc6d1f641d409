import { AppError } from '@punica/schema'
import { type Act, perform } from '../audit/perform.ts'
import { requireRevocation } from '../catalog/revocations.ts'
import type {
  ApiKeyResolvers,
  MutationResolvers,
  NatsCredentialResolvers,
  QueryResolvers,
} from '../generated/graphql.ts'
import { Prisma } from '../generated/prisma/client.ts'
import type { Context } from '../server/context.ts'
import { parseId } from '../server/input.ts'
import { boundOf, byCreation, contains, listPage, lowerContains, toOrder } from '../server/list.ts'
import { type Actor, requireAdmin, requireAdminOf, requireOperator } from './actor.ts'
import { createApiKey } from './create.ts'
import { createNatsCredential, revokeNatsCredential } from './nats-credential.ts'
import { revokeApiKey } from './revoke.ts'
import { rotateApiKey } from './rotate.ts'
import { inState, stateOf } from './state.ts'

const orders = {
  CREATED_AT: { column: 'id', type: 'uuid' },
  NAME: { column: 'name', type: 'text' },
} as const

export const keyQueries: Pick<QueryResolvers, 'viewer' | 'apiKeys' | 'natsCredentials'> = {
  viewer: (_, __, { actor: { role, tenant, keyPrefix } }) => ({ role, tenant, keyPrefix }),

  apiKeys: (_, { tenant, search, state, orderBy, ...page }, { actor, db }) => {
    const where = [
      ...ofTenant(actor, tenant),
      ...inState(state),
      ...(search
        ? [Prisma.sql`(${contains('name', search)} OR ${lowerContains('prefix', search)})`]
        : []),
    ]
    const order = toOrder(orderBy, orders)
    const list = { table: 'api_key', where, order, ...boundOf(search) }
    return listPage(db, list, page, (ids) => db.apiKey.findMany({ where: { id: { in: ids } } }))
  },

  natsCredentials: (_, { tenant, state, ...page }, { actor, db }) => {
    const where = [...ofTenant(actor, tenant), ...inState(state)]
    const list = { table: 'nats_credential', where, order: byCreation('DESC') }
    return listPage(db, list, page, (ids) =>
      db.natsCredential.findMany({ where: { id: { in: ids } } }),
    )
  },
}

/** Throws AppError `forbidden` where the caller may not see what the tenant's admins see. */
const ofTenant = (actor: Actor, asked: string | null | undefined): Prisma.Sql[] => {
  const slug = asked ?? actor.tenant?.slug
  if (slug === undefined) return []
  requireAdminOf(actor, slug)
  return [Prisma.sql`"tenant_id" = (SELECT "id" FROM "tenant" WHERE "slug" = ${slug})`]
}

export const keyMutations: Pick<
  MutationResolvers,
  'createApiKey' | 'rotateApiKey' | 'revokeApiKey' | 'createNatsCredential' | 'revokeNatsCredential'
> = {
  createApiKey: (_, { input }, context) => {
    const tenant = input.tenant ?? undefined
    const act = { action: 'createApiKey', tenant, target: input.name }
    return perform(context, act, (commit) => {
      if (tenant === undefined) requireOperator(context.actor)
      else requireAdminOf(context.actor, tenant)
      return createApiKey(commit, input, context.actor.keyPrefix)
    })
  },

  rotateApiKey: (_, { input: { id, overlapSeconds } }, context) => {
    const act: Act = { action: 'rotateApiKey', target: id }
    return perform(context, act, async (commit) => {
      const key = await requireKey(context, act, id)
      return rotateApiKey(commit, key, { overlapSeconds, actor: context.actor.keyPrefix })
    })
  },

  revokeApiKey: (_, { id }, context) => {
    const act: Act = { action: 'revokeApiKey', target: id }
    return perform(context, act, async (commit) =>
      revokeApiKey(commit, await requireKey(context, act, id)),
    )
  },

  createNatsCredential: (_, { input }, context) => {
    const act = { action: 'createNatsCredential', tenant: input.tenant, target: input.name }
    return perform(context, act, (commit) => {
      requireAdminOf(context.actor, input.tenant)
      return createNatsCredential({ commit, accountSeed: context.settings.natsAccountSeed }, input)
    })
  },

  revokeNatsCredential: (_, { input }, context) => {
    const act: Act = { action: 'revokeNatsCredential', target: input.id }
    return perform(context, act, async (commit) => {
      const { actor, db, accountClaims } = context
      requireAdmin(actor)
      const where = { id: parseId('id', input.id) }
      const known = await db.natsCredential.findUnique({ where, include: { tenant: true } })
      // Another tenant's credential is as unknown as one that does not exist.
      if (known === null || (actor.tenant !== null && actor.tenant.id !== known.tenantId)) {
        throw new AppError('not_found', `There is no NATS credential ${where.id}`, { param: 'id' })
      }
      act.tenant = known.tenant.slug
      await requireRevocation(db, accountClaims)
      return revokeNatsCredential(commit, known)
    })
  },
}

/** A key that the caller administers; another tenant's is as unknown as one that does not exist. */
const requireKey = async ({ actor, db }: Context, act: Act, keyId: string) => {
  requireAdmin(actor)
  const where = { id: parseId('id', keyId) }
  const key = await db.apiKey.findUnique({ where, include: { tenant: true } })
  if (key === null || (actor.tenant !== null && actor.tenant.id !== key.tenantId)) {
    throw new AppError('not_found', `There is no API key ${where.id}`, { param: 'id' })
  }
  act.tenant = key.tenant?.slug
  return key
}

export const ApiKey: ApiKeyResolvers = {
  tenant: ({ tenantId }, _, { loaders }) =>
    tenantId === null ? null : loaders.tenant.load(tenantId),
  state: stateOf,
}

export const NatsCredential: NatsCredentialResolvers = {
  tenant: ({ tenantId }, _, { loaders }) => loaders.tenant.load(tenantId),
  state: stateOf,
}
