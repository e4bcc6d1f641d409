import type { Transaction } from '../db/database.ts'

/** Lets one transaction at a time count and change what a tenant has; others wait for its end. */
export const lockTenant = async (tx: Transaction, tenantId: string): Promise<void> => {
  await tx.$queryRaw`SELECT 1 FROM "tenant" WHERE "id" = ${tenantId}::uuid FOR NO KEY UPDATE`
}
