import { z } from 'zod'
import type { Commit } from '../audit/perform.ts'
import type { UpdateTenantInput } from '../generated/graphql.ts'
import { parseInput } from '../server/input.ts'
import { requireTenant } from './find.ts'
import { Limit, tenantFields } from './limits.ts'

const Input = z.object({
  slug: z.string(),
  name: tenantFields.name.exactOptional(),
  weight: tenantFields.weight.exactOptional(),
  // Null takes a limit away; what is left out stays.
  maxConcurrentRequests: Limit.nullable().exactOptional(),
  maxTokensPerMinute: Limit.nullable().exactOptional(),
})

/** Throws AppError `not_found`. */
export const updateTenant = (commit: Commit, input: UpdateTenantInput) => {
  const { slug, ...data } = parseInput(Input, input)
  return commit(async ({ tx, changed }) => {
    const { id } = await requireTenant(tx, slug, 'slug')
    const tenant = await tx.tenant.update({ where: { id }, data })
    changed('tenant', slug)
    return { __typename: 'UpdateTenantPayload' as const, tenant }
  })
}
