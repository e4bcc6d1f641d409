import { AppError, Slug } from '@punica/schema'
import { z } from 'zod'
import type { Commit } from '../audit/perform.ts'
import { orWhenDuplicate } from '../db/database.ts'
import type { CreateTenantInput } from '../generated/graphql.ts'
import { parseInput } from '../server/input.ts'
import { Limit, tenantFields } from './limits.ts'

const OptionalLimit = Limit.nullish().transform((limit) => limit ?? null)

const Input = z.object({
  slug: Slug,
  name: tenantFields.name,
  weight: tenantFields.weight.nullish().transform((weight) => weight ?? 1),
  maxConcurrentRequests: OptionalLimit,
  maxTokensPerMinute: OptionalLimit,
})

/** Throws AppError `conflict` where the slug is taken. */
export const createTenant = (commit: Commit, input: CreateTenantInput) => {
  const data = parseInput(Input, input)
  return commit(async ({ tx, changed }) => {
    const taken = new AppError('conflict', `slug: there is a tenant ${data.slug} already`, {
      param: 'slug',
    })
    const tenant = await orWhenDuplicate(tx.tenant.create({ data }), taken)
    changed('tenant', tenant.slug)
    return { __typename: 'CreateTenantPayload' as const, tenant }
  })
}
