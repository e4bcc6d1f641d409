import { Prisma } from '../generated/prisma/client.ts'

/** Of what holds from its creation until it ends. */
export type CredentialState = 'ACTIVE' | 'EXPIRED' | 'REVOKED' | 'USED'

type Lifetime = { expiresAt: Date | null; revokedAt: Date | null }

export const stateOf = ({ expiresAt, revokedAt }: Lifetime): CredentialState => {
  if (revokedAt !== null) return 'REVOKED'
  return expiresAt !== null && expiresAt.getTime() <= Date.now() ? 'EXPIRED' : 'ACTIVE'
}

/** The rows that are in a state, of a table with expires_at and revoked_at; all where it is null. */
export const inState = (state: CredentialState | null | undefined): Prisma.Sql[] => {
  switch (state) {
    case 'ACTIVE':
      return [Prisma.sql`"revoked_at" IS NULL AND ("expires_at" IS NULL OR "expires_at" > now())`]
    case 'EXPIRED':
      return [Prisma.sql`"revoked_at" IS NULL AND "expires_at" <= now()`]
    case 'REVOKED':
      return [Prisma.sql`"revoked_at" IS NOT NULL`]
    case 'USED':
      return [Prisma.sql`false`]
    default:
      return []
  }
}
