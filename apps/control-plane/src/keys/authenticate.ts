import { AppError } from '@punica/schema'
import type { Database } from '../db/database.ts'
import type { Actor } from './actor.ts'
import { isSameHash, noHash, parseKey } from './api-key.ts'

/** The key in an Authorization header, whether it holds or not; null where there is none. */
export const keyOf = (header: string | undefined): string | null =>
  /^Bearer +(\S+)$/i.exec(header ?? '')?.[1] ?? null

/**
 * Who an Authorization header speaks for. Throws AppError `unauthenticated` for a key that is
 * absent, malformed, unknown, revoked or expired, and `forbidden` for one of a suspended tenant.
 */
export const authenticate = async (db: Database, header: string | undefined): Promise<Actor> => {
  const text = keyOf(header)
  if (text === null) {
    throw new AppError('unauthenticated', 'Send an API key: Authorization: Bearer pk_...')
  }
  const identity = parseKey(text)
  if (identity === null) {
    throw new AppError('unauthenticated', 'The API key is malformed: it is pk_<prefix>_<secret>')
  }
  const { prefix } = identity
  const row = await db.apiKey.findUnique({ where: { prefix }, include: { tenant: true } })
  if (!isSameHash(identity.hash, row?.hash ?? noHash) || row === null) {
    throw new AppError('unauthenticated', 'The API key is not known')
  }
  if (row.revokedAt !== null) throw new AppError('unauthenticated', 'The API key is revoked')
  if (row.expiresAt !== null && row.expiresAt.getTime() <= Date.now()) {
    throw new AppError('unauthenticated', `The API key expired at ${row.expiresAt.toISOString()}`)
  }
  const { tenant } = row
  if (tenant === null) return { role: 'OPERATOR', keyPrefix: prefix, tenant }
  if (tenant.suspended) throw new AppError('forbidden', `Tenant ${tenant.slug} is suspended`)
  const role = row.scopes.includes('ADMIN') ? 'TENANT_ADMIN' : 'TENANT_USER'
  return { role, keyPrefix: prefix, tenant }
}
