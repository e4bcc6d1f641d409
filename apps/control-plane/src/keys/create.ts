import { AppError, Slug } from '@punica/schema'
import { z } from 'zod'
import type { Commit } from '../audit/perform.ts'
import type { Transaction } from '../db/database.ts'
import type { CreateApiKeyInput } from '../generated/graphql.ts'
import { DisplayName, ExpiresAt, parseInput } from '../server/input.ts'
import { requireTenant } from '../tenants/find.ts'
import { lockTenant } from '../tenants/lock.ts'
import { createKey } from './api-key.ts'

const Input = z
  .object({
    tenant: Slug.nullish().transform((slug) => slug ?? null),
    name: DisplayName,
    scopes: z.array(z.enum(['GENERATE', 'ADMIN'])),
    expiresAt: ExpiresAt,
  })
  .refine(({ tenant, scopes }) => tenant === null || scopes.length > 0, {
    path: ['scopes'],
    message: 'must name at least one scope',
  })
  .refine(({ tenant, scopes }) => tenant !== null || scopes.length === 0, {
    path: ['scopes'],
    message: 'must be empty for an operator’s key, which may do everything',
  })

/** Keys of one tenant that hold at a time. */
const maxKeys = 1_000

/** Makes a key. The answer is the only place where the whole key is ever shown. */
export const createApiKey = (commit: Commit, input: CreateApiKeyInput, actor: string) => {
  const { tenant: slug, name, scopes, expiresAt } = parseInput(Input, input)
  return commit(async ({ tx, changed }) => {
    const tenantId = slug === null ? null : await findRoom(tx, slug)
    const { prefix, hash, secret } = createKey()
    const data = {
      tenantId,
      prefix,
      hash,
      name,
      scopes: [...new Set(scopes)],
      expiresAt,
      createdBy: actor,
    }
    const apiKey = await tx.apiKey.create({ data })
    changed('key', prefix)
    return { __typename: 'CreateApiKeyPayload' as const, apiKey, secret }
  })
}

const findRoom = async (tx: Transaction, slug: string): Promise<string> => {
  const { id } = await requireTenant(tx, slug)
  await lockTenant(tx, id)
  const now = new Date()
  const holds = { revokedAt: null, OR: [{ expiresAt: null }, { expiresAt: { gt: now } }] }
  if ((await tx.apiKey.count({ where: { tenantId: id, ...holds } })) < maxKeys) return id
  const message = `tenant ${slug} has ${maxKeys} keys, the limit; revoke some that are not used`
  throw new AppError('quota_exceeded', message)
}
