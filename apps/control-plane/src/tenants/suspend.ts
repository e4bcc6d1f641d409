import { z } from 'zod'
import type { Commit } from '../audit/perform.ts'
import type { ResumeTenantInput, SuspendTenantInput } from '../generated/graphql.ts'
import { parseInput } from '../server/input.ts'
import { requireTenant } from './find.ts'

const Reason = z
  .string()
  .trim()
  .max(500, 'must have at most 500 characters')
  .nullish()
  .transform((reason) => (reason === undefined || reason === '' ? null : reason))

const Suspend = z.object({ slug: z.string(), reason: Reason })

/** Refuses the tenant's keys from now on; suspending it again changes the reason alone. */
export const suspendTenant = (commit: Commit, input: SuspendTenantInput) => {
  const { slug, reason } = parseInput(Suspend, input)
  return commit(async ({ tx, changed }) => {
    const { id } = await requireTenant(tx, slug, 'slug')
    const data = { suspended: true, suspendedReason: reason }
    const tenant = await tx.tenant.update({ where: { id }, data })
    changed('tenant', slug)
    return { __typename: 'SuspendTenantPayload' as const, tenant }
  })
}

/** Lets the tenant's keys hold again; it may not be suspended. */
export const resumeTenant = (commit: Commit, { slug }: ResumeTenantInput) =>
  commit(async ({ tx, changed }) => {
    const { id } = await requireTenant(tx, slug, 'slug')
    const data = { suspended: false, suspendedReason: null }
    const tenant = await tx.tenant.update({ where: { id }, data })
    changed('tenant', slug)
    return { __typename: 'ResumeTenantPayload' as const, tenant }
  })
