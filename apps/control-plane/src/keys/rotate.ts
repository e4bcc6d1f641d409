import { AppError } from '@punica/schema'
import { z } from 'zod'
import type { Commit } from '../audit/perform.ts'
import type { RotateApiKeyInput } from '../generated/graphql.ts'
import type { ApiKey } from '../generated/prisma/client.ts'
import { parseInput } from '../server/input.ts'
import { createKey } from './api-key.ts'
import { stateOf } from './state.ts'

const maxOverlapSeconds = 30 * 24 * 3600

const Overlap = z.object({
  overlapSeconds: z
    .int()
    .min(0, 'must not be negative')
    .max(maxOverlapSeconds, `must be at most ${maxOverlapSeconds} (30 days)`)
    .default(3600),
})

/**
 * Makes a key in another one's place; both hold for the overlap. Throws AppError `conflict` for a key
 * that does not hold any more.
 */
export const rotateApiKey = (
  commit: Commit,
  old: ApiKey,
  {
    actor,
    ...input
  }: { overlapSeconds: RotateApiKeyInput['overlapSeconds'] | undefined; actor: string },
) => {
  const { overlapSeconds } = parseInput(Overlap, input)
  return commit(async ({ tx, changed }) => {
    const nowMs = Date.now()
    const { prefix, hash, secret } = createKey()
    const { tenantId, name, scopes } = old
    const lifetimeMs = old.expiresAt === null ? null : +old.expiresAt - +old.createdAt
    const expiresAt = lifetimeMs === null ? null : new Date(nowMs + lifetimeMs)
    // Locked, so that what is found here still holds when it is written.
    const [current] = await tx.$queryRaw<Pick<ApiKey, 'expiresAt' | 'revokedAt'>[]>`
      SELECT "expires_at" AS "expiresAt", "revoked_at" AS "revokedAt"
      FROM "api_key" WHERE "id" = ${old.id}::uuid FOR UPDATE`
    if (current === undefined || stateOf(current) !== 'ACTIVE') {
      throw new AppError('conflict', 'id: the key does not hold any more; create another', {
        param: 'id',
      })
    }
    const data = { tenantId, prefix, hash, name, scopes, expiresAt, createdBy: actor }
    const apiKey = await tx.apiKey.create({ data })
    const endMs = Math.min(nowMs + overlapSeconds * 1000, current.expiresAt?.getTime() ?? Infinity)
    const end = overlapSeconds === 0 ? { revokedAt: new Date() } : { expiresAt: new Date(endMs) }
    const replaced = await tx.apiKey.update({ where: { id: old.id }, data: end })
    changed('key', prefix)
    changed('key', old.prefix)
    return { __typename: 'RotateApiKeyPayload' as const, apiKey, secret, replaced }
  })
}
