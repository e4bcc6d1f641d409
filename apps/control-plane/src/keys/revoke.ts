import type { Commit } from '../audit/perform.ts'
import type { ApiKey } from '../generated/prisma/client.ts'

/** Revokes a key for good; revoking it again keeps the first time. */
export const revokeApiKey = (commit: Commit, key: Pick<ApiKey, 'id' | 'prefix'>) =>
  commit(async ({ tx, changed }) => {
    const where = { id: key.id }
    await tx.apiKey.updateMany({
      where: { ...where, revokedAt: null },
      data: { revokedAt: new Date() },
    })
    changed('key', key.prefix)
    const apiKey = await tx.apiKey.findUniqueOrThrow({ where })
    return { __typename: 'RevokeApiKeyPayload' as const, apiKey }
  })
