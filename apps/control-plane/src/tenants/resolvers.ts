import { AppError } from '@punica/schema'
import { perform } from '../audit/perform.ts'
import type { MutationResolvers, QueryResolvers, TenantResolvers } from '../generated/graphql.ts'
import type { Tenant as TenantRow } from '../generated/prisma/client.ts'
import { administers, belongsTo, requireOperator } from '../keys/actor.ts'
import { parsePage, toConnection } from '../server/connection.ts'
import type { Context } from '../server/context.ts'
import { createTenant } from './create.ts'

export const tenantQueries: Pick<QueryResolvers, 'tenants' | 'tenant'> = {
  tenants: async (_, args, { actor, db }) => {
    requireOperator(actor)
    const page = parsePage(args)
    const rows = await db.tenant.findMany({
      where: page.after === null ? {} : { id: { gt: page.after } },
      orderBy: { id: 'asc' },
      take: page.take + 1,
    })
    return toConnection(rows, page)
  },

  tenant: async (_, { slug }, { actor, db }) => {
    if (actor.role === 'OPERATOR') return db.tenant.findUnique({ where: { slug } })
    return actor.tenant.slug === slug ? actor.tenant : null
  },
}

export const tenantMutations: Pick<MutationResolvers, 'createTenant'> = {
  createTenant: (_, { input }, context) =>
    perform(context, { action: 'createTenant', tenant: input.slug }, async (commit) => {
      requireOperator(context.actor)
      return createTenant(commit, input)
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
  weight: own('weight'),
  maxConcurrentRequests: own('maxConcurrentRequests'),
  maxTokensPerMinute: own('maxTokensPerMinute'),
  createdAt: own('createdAt'),
  apiKeys: ({ id, slug }, _, { actor, loaders }) => {
    if (!administers(actor, id)) throw forbidden(`the keys of tenant ${slug}`)
    return loaders.apiKeysOfTenant.load(id)
  },
  adapters: async ({ id, slug }, args, { actor, loaders }) => {
    if (!belongsTo(actor, id)) throw forbidden(`the adapters of tenant ${slug}`)
    const page = parsePage(args)
    return toConnection(await loaders.adaptersOfTenant(page).load(id), page)
  },
}

const forbidden = (what: string): AppError =>
  new AppError('forbidden', `This key may not see ${what}`)
