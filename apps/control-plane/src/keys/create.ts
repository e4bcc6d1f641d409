import { Slug } from '@punica/schema'
import { z } from 'zod'
import type { Commit } from '../audit/perform.ts'
import type { CreateApiKeyInput } from '../generated/graphql.ts'
import { DisplayName, ExpiresAt, parseInput } from '../server/input.ts'
import { requireTenant } from '../tenants/find.ts'
import { createKey } from './api-key.ts'

const Input = z.object({
  tenant: Slug,
  name: DisplayName,
  scopes: z.array(z.enum(['GENERATE', 'ADMIN'])).min(1, 'must name at least one scope'),
  expiresAt: ExpiresAt,
})

/** Makes a key of a tenant. The answer is the only place where the whole key is ever shown. */
export const createApiKey = (commit: Commit, input: CreateApiKeyInput) => {
  const { tenant: slug, name, scopes, expiresAt } = parseInput(Input, input)
  return commit(async ({ tx, changed }) => {
    const tenant = await requireTenant(tx, slug)
    const { prefix, hash, secret } = createKey()
    const data = {
      tenantId: tenant.id,
      prefix,
      hash,
      name,
      scopes: [...new Set(scopes)],
      expiresAt,
    }
    const apiKey = await tx.apiKey.create({ data })
    changed('key', prefix)
    return { __typename: 'CreateApiKeyPayload' as const, apiKey, secret }
  })
}
