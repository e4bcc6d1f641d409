import { AppError } from '@punica/schema'
import type { Transaction } from '../db/database.ts'
import type { Adapter } from '../generated/prisma/client.ts'
import { requireTenant } from '../tenants/find.ts'
import { lockTenant } from '../tenants/lock.ts'

/**
 * An adapter that one transaction at a time may change. Throws AppError `not_found`, also for one
 * that is archived; ask for permission first.
 */
export const lockAdapter = async (
  tx: Transaction,
  slug: string,
  name: string,
): Promise<Adapter> => {
  const tenant = await requireTenant(tx, slug)
  await lockTenant(tx, tenant.id)
  const where = { tenantId_name: { tenantId: tenant.id, name } }
  const adapter = await tx.adapter.findUnique({ where })
  if (adapter !== null && adapter.archivedAt === null) return adapter
  throw new AppError('not_found', `name: tenant ${slug} has no adapter ${name}`, { param: 'name' })
}
