import { AppError } from '@punica/schema'
import { describeChanges } from '../audit/describe.ts'
import { perform } from '../audit/perform.ts'
import type { MutationResolvers, QueryResolvers, TenantResolvers } from '../generated/graphql.ts'
import { Prisma, type Tenant as TenantRow } from '../generated/prisma/client.ts'
import { administers, belongsTo, requireOperator } from '../keys/actor.ts'
import type { Context } from '../server/context.ts'
import { boundOf, contains, listPage, lowerContains, toOrder } from '../server/list.ts'
import { toTraffic } from '../usage/traffic.ts'
import { createTenant } from './create.ts'
import { resumeTenant, suspendTenant } from './suspend.ts'
import { updateTenant } from './update.ts'

const orders = {
  CREATED_AT: { column: 'id', type: 'uuid' },
  SLUG: { column: 'slug', type: 'text' },
  NAME: { column: 'name', type: 'text' },
  TRAFFIC: { column: 'recent_tokens', type: 'bigint' },
} as const

export const tenantQueries: Pick<QueryResolvers, 'tenants' | 'tenant'> = {
  tenants: (_, { search, suspended, orderBy, ...page }, { actor, db }) => {
    requireOperator(actor)
    const where = [
      ...(search
        ? [Prisma.sql`(${lowerContains('slug', search)} OR ${contains('name', search)})`]
        : []),
      ...(suspended === null || suspended === undefined
        ? []
        : [Prisma.sql`"suspended" = ${suspended}`]),
    ]
    const order = toOrder(orderBy, orders)
    const list = { table: 'tenant', where, order, ...boundOf(search) }
    return listPage(db, list, page, (ids) => db.tenant.findMany({ where: { id: { in: ids } } }))
  },

  tenant: async (_, { slug }, { actor, db }) => {
    if (actor.role === 'OPERATOR') return db.tenant.findUnique({ where: { slug } })
    return actor.tenant.slug === slug ? actor.tenant : null
  },
}

export const tenantMutations: Pick<
  MutationResolvers,
  'createTenant' | 'updateTenant' | 'suspendTenant' | 'resumeTenant'
> = {
  createTenant: (_, { input }, context) =>
    perform(context, { action: 'createTenant', tenant: input.slug }, async (commit) => {
      requireOperator(context.actor)
      return createTenant(commit, input)
    }),

  updateTenant: (_, { input }, context) => {
    const { slug, ...changes } = input
    const act = { action: 'updateTenant', tenant: slug, target: describeChanges(changes) }
    return perform(context, act, async (commit) => {
      requireOperator(context.actor)
      return updateTenant(commit, input)
    })
  },

  suspendTenant: (_, { input }, context) => {
    const target = input.reason ?? undefined
    const act = { action: 'suspendTenant', tenant: input.slug, target }
    return perform(context, act, async (commit) => {
      requireOperator(context.actor)
      return suspendTenant(commit, input)
    })
  },

  resumeTenant: (_, { input }, context) =>
    perform(context, { action: 'resumeTenant', tenant: input.slug }, async (commit) => {
      requireOperator(context.actor)
      return resumeTenant(commit, input)
    }),
}

/** What other tenants, who may see the name where an adapter is granted, may not. */
const own =
  <K extends keyof TenantRow>(field: K) =>
  (tenant: TenantRow, _: unknown, { actor }: Context): TenantRow[K] => {
    if (belongsTo(actor, tenant.id)) return tenant[field]
    throw forbidden(`${field} of tenant ${tenant.slug}`)
  }

export const Tenant: TenantResolvers = {
  suspended: own('suspended'),
  suspendedReason: own('suspendedReason'),
  weight: own('weight'),
  maxConcurrentRequests: own('maxConcurrentRequests'),
  maxTokensPerMinute: own('maxTokensPerMinute'),
  createdAt: own('createdAt'),
  traffic: (tenant, _, { actor }) => {
    if (belongsTo(actor, tenant.id)) return toTraffic(tenant)
    throw forbidden(`the traffic of tenant ${tenant.slug}`)
  },
  apiKeys: ({ id, slug }, { state, ...page }, { actor, loaders }) => {
    if (!administers(actor, id)) throw forbidden(`the keys of tenant ${slug}`)
    return loaders.apiKeysOfTenant(page, state ?? null).load(id)
  },
  natsCredentials: ({ id, slug }, { state, ...page }, { actor, loaders }) => {
    if (!administers(actor, id)) throw forbidden(`the credentials of tenant ${slug}`)
    return loaders.natsCredentialsOfTenant(page, state ?? null).load(id)
  },
  adapters: ({ id, slug }, page, { actor, loaders }) => {
    if (!belongsTo(actor, id)) throw forbidden(`the adapters of tenant ${slug}`)
    return loaders.adaptersOfTenant(page, null).load(id)
  },
}

const forbidden = (what: string): AppError =>
  new AppError('forbidden', `This key may not see ${what}`)
