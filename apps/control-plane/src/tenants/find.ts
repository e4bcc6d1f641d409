import { AppError } from '@punica/schema'
import type { Transaction } from '../db/database.ts'
import type { Tenant } from '../generated/prisma/client.ts'

/** Throws AppError `not_found`; ask for permission first. */
export const requireTenant = async (
  db: Transaction,
  slug: string,
  field = 'tenant',
): Promise<Tenant> => {
  const tenant = await db.tenant.findUnique({ where: { slug } })
  if (tenant !== null) return tenant
  throw new AppError('not_found', `${field}: there is no tenant ${slug}`, { param: field })
}
