import { AppError } from '@punica/schema'
import type { Tenant } from '../generated/prisma/client.ts'

/** Who calls. A tenant's key with scope ADMIN is an admin; one without may only look. */
export type Actor =
  | { role: 'OPERATOR'; keyPrefix: string; tenant: null }
  | { role: 'TENANT_ADMIN' | 'TENANT_USER'; keyPrefix: string; tenant: Tenant }

export const requireOperator = (actor: Actor): void => {
  if (actor.role !== 'OPERATOR') throw new AppError('forbidden', 'This needs an operator key')
}

/** Lets operators and admins pass; of what, must be asked beside it. */
export const requireAdmin = (actor: Actor): void => {
  if (actor.role !== 'TENANT_USER') return
  throw new AppError('forbidden', 'This needs an operator key or an admin key')
}

/**
 * Lets operators pass, and admins of the tenant. It is asked before the tenant is looked up, so
 * that a refusal does not tell whether another tenant exists.
 */
export const requireAdminOf = (actor: Actor, slug: string): void => {
  if (actor.role === 'OPERATOR') return
  if (actor.role === 'TENANT_ADMIN' && actor.tenant.slug === slug) return
  throw new AppError('forbidden', `This needs an operator key or an admin key of tenant ${slug}`)
}

/** Whether the caller belongs to the tenant, or is an operator. */
export const belongsTo = (actor: Actor, tenantId: string): boolean =>
  actor.role === 'OPERATOR' || actor.tenant.id === tenantId

/** Whether the caller may see what only the tenant's admins see. */
export const administers = (actor: Actor, tenantId: string): boolean =>
  belongsTo(actor, tenantId) && actor.role !== 'TENANT_USER'
