import { AppError } from '@punica/schema'
import { type Act, perform } from '../audit/perform.ts'
import type { MutationResolvers, QueryResolvers } from '../generated/graphql.ts'
import { parseId } from '../server/input.ts'
import { requireAdminOf, requireOperator } from './actor.ts'
import { createApiKey } from './create.ts'
import { createNatsCredential } from './nats-credential.ts'
import { revokeApiKey } from './revoke.ts'

export const keyQueries: Pick<QueryResolvers, 'viewer'> = {
  viewer: (_, __, { actor }) => ({ role: actor.role, tenant: actor.tenant }),
}

export const keyMutations: Pick<
  MutationResolvers,
  'createApiKey' | 'revokeApiKey' | 'createNatsCredential'
> = {
  createApiKey: (_, { input }, context) => {
    const act = { action: 'createApiKey', tenant: input.tenant, target: input.name }
    return perform(context, act, (commit) => {
      requireAdminOf(context.actor, input.tenant)
      return createApiKey(commit, input)
    })
  },

  revokeApiKey: (_, { id }, context) => {
    const act: Act = { action: 'revokeApiKey', target: id }
    return perform(context, act, async (commit) => {
      if (context.actor.role === 'TENANT_USER') requireOperator(context.actor)
      const where = { id: parseId('id', id) }
      const key = await context.db.apiKey.findUnique({ where, include: { tenant: true } })
      const { tenant } = context.actor
      // Another tenant's key is as unknown as one that does not exist.
      if (key === null || (tenant !== null && tenant.id !== key.tenantId)) {
        throw new AppError('not_found', `There is no API key ${where.id}`, { param: 'id' })
      }
      act.tenant = key.tenant?.slug
      return revokeApiKey(commit, key)
    })
  },

  createNatsCredential: (_, { input }, context) => {
    const act = { action: 'createNatsCredential', tenant: input.tenant, target: input.name }
    return perform(context, act, (commit) => {
      requireAdminOf(context.actor, input.tenant)
      return createNatsCredential({ commit, accountSeed: context.settings.natsAccountSeed }, input)
    })
  },
}
