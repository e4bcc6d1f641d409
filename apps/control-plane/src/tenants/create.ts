import { AppError, Slug } from '@punica/schema'
import { z } from 'zod'
import type { Commit } from '../audit/perform.ts'
import { orWhenDuplicate } from '../db/database.ts'
import type { CreateTenantInput } from '../generated/graphql.ts'
import { DisplayName, parseInput } from '../server/input.ts'

const Limit = z
  .int()
  .min(1, 'must be at least 1; leave it out for no limit')
  .nullish()
  .transform((limit) => limit ?? null)

const Input = z.object({
  slug: Slug,
  name: DisplayName,
  weight: z
    .number()
    .gt(0, 'must be above 0')
    .max(1000, 'must be at most 1000')
    .nullish()
    .transform((weight) => weight ?? 1),
  maxConcurrentRequests: Limit,
  maxTokensPerMinute: Limit,
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
