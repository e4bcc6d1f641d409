import { createHash, timingSafeEqual } from 'node:crypto'
import { AppError } from '@punica/schema'
import type { Catalog } from './catalog.ts'

/**
 * Whose key it is. The whole key is compared by its hash and in constant time, and an unknown
 * prefix takes the same path as a wrong secret, so that neither time nor message tells them apart.
 * Throws `unauthenticated` (missing, malformed, unknown or expired) or `forbidden` (a key without
 * the scope `generate`, a suspended tenant).
 */
export const authenticate = (
  { keys, tenants }: Pick<Catalog, 'keys' | 'tenants'>,
  apiKey: string,
  nowMs: number,
): { tenant: string } => {
  const prefix = keyPattern.exec(apiKey)?.[1]
  if (prefix === undefined) {
    throw new AppError(
      'unauthenticated',
      'The API key is missing or malformed; send a key of the form pk_…_…',
    )
  }
  const record = keys.get(prefix)
  const given = createHash('sha256').update(apiKey).digest()
  const known = Buffer.from(record?.hash ?? unknownHash, 'hex')
  if (!timingSafeEqual(given, known) || record === undefined) {
    throw new AppError('unauthenticated', 'The API key is not valid')
  }
  if (record.expiresAtMs !== null && record.expiresAtMs <= nowMs) {
    const expiredAt = new Date(record.expiresAtMs).toISOString()
    throw new AppError('unauthenticated', `The API key expired at ${expiredAt}; create a new one`)
  }
  if (!record.scopes.includes('generate')) {
    throw new AppError('forbidden', 'The API key lacks the scope generate')
  }
  const tenant = tenants.get(record.tenant)
  if (tenant === undefined) throw new AppError('unauthenticated', 'The API key is not valid')
  if (tenant.suspended) throw new AppError('forbidden', `Tenant ${record.tenant} is suspended`)
  return { tenant: record.tenant }
}

const keyPattern = /^pk_([a-z0-9]{12})_[A-Za-z0-9_-]{43}$/

/** No key has it: it is no hash of anything known. */
const unknownHash = '0'.repeat(64)
