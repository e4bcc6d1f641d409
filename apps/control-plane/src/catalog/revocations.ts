import type { AccountClaims, Revocations } from '@punica/bus'
import { AppError } from '@punica/schema'
import type { Transaction } from '../db/database.ts'

/** All revocations are one entry of the outbox: the server is told of all of them at once. */
export const revocationsKey = 'all'

/** As many as the account's claims hold within a message of NATS. */
const maxRevocations = 50_000

/**
 * Throws AppError `unavailable` where this control plane cannot revoke NATS credentials, and
 * `quota_exceeded` where there is no room for one more.
 */
export const requireRevocation = async (
  db: Transaction,
  claims: AccountClaims | null,
): Promise<void> => {
  if (claims === null) {
    const message = 'Revoking needs the settings NATS_OPERATOR_SEED and NATS_SYSTEM_CREDS'
    throw new AppError('unavailable', message)
  }
  if (Object.keys(await readRevocations(db)).length < maxRevocations) return
  const message = `${maxRevocations} credentials that never expire are revoked, the limit; give the account a new key`
  throw new AppError('quota_exceeded', message)
}

/** Users of NATS that must be refused; one that has expired meanwhile is refused without it. */
const readRevocations = async (db: Transaction): Promise<Revocations> => {
  const rows = await db.$queryRaw<{ publicKey: string; seconds: number }[]>`
    SELECT "public_key" AS "publicKey", ceil(extract(epoch FROM "revoked_at"))::int AS "seconds"
    FROM "nats_credential"
    WHERE "revoked_at" IS NOT NULL AND ("expires_at" IS NULL OR "expires_at" > now())
    UNION ALL
    SELECT "public_key", ceil(extract(epoch FROM "revoked_at"))::int
    FROM "node_credential" WHERE "revoked_at" IS NOT NULL`
  return Object.fromEntries(rows.map(({ publicKey, seconds }) => [publicKey, seconds]))
}

/** Makes NATS refuse what the database says is revoked. */
export const writeRevocations = async (db: Transaction, claims: AccountClaims): Promise<void> => {
  const current = await claims.revocations()
  const wanted = await correct(db, current)
  if (!isSame(current, wanted)) await claims.revoke(wanted)
}

/** Whether NATS refuses others than it should. */
export const revocationsDiffer = async (
  db: Transaction,
  claims: AccountClaims,
): Promise<boolean> => {
  const current = await claims.revocations()
  return !isSame(current, await correct(db, current))
}

/** What should be refused; users that are none of ours, whom other tools have revoked, stay so. */
const correct = async (db: Transaction, current: Revocations): Promise<Revocations> => {
  const ours = await readRevocations(db)
  const others = Object.keys(current).filter((user) => ours[user] === undefined)
  const known = await db.$queryRaw<{ publicKey: string }[]>`
    SELECT "public_key" AS "publicKey" FROM "nats_credential" WHERE "public_key" = ANY(${others})
    UNION ALL
    SELECT "public_key" FROM "node_credential" WHERE "public_key" = ANY(${others})`
  const expired = new Set(known.map(({ publicKey }) => publicKey))
  const foreign = Object.entries(current).filter(
    ([user]) => ours[user] === undefined && !expired.has(user),
  )
  return { ...Object.fromEntries(foreign), ...ours }
}

const isSame = (a: Revocations, b: Revocations): boolean =>
  Object.keys(a).length === Object.keys(b).length &&
  Object.entries(a).every(([user, seconds]) => b[user] === seconds)
