import { issueCredentials } from '@punica/bus'
import { AppError, Slug, tenantPermissions } from '@punica/schema'
import { z } from 'zod'
import type { Commit } from '../audit/perform.ts'
import type { CreateNatsCredentialInput } from '../generated/graphql.ts'
import { DisplayName, ExpiresAt, parseInput } from '../server/input.ts'
import { requireTenant } from '../tenants/find.ts'

const Input = z.object({ tenant: Slug, name: DisplayName, expiresAt: ExpiresAt })

type Deps = { commit: Commit; accountSeed: string | null }

/**
 * Issues a NATS user that reaches the tenant's own subjects and inboxes and nothing else. Throws
 * AppError `unavailable` where this control plane has no account seed to sign it with.
 */
export const createNatsCredential = (
  { commit, accountSeed }: Deps,
  input: CreateNatsCredentialInput,
) => {
  const { tenant: slug, name, expiresAt } = parseInput(Input, input)
  if (accountSeed === null) {
    throw new AppError('unavailable', 'NATS credentials need the setting NATS_ACCOUNT_SEED')
  }
  return commit(async ({ tx }) => {
    const tenant = await requireTenant(tx, slug)
    const { creds, inboxPrefix, user } = await issueCredentials(accountSeed, {
      name: `${slug}/${name}`,
      permissions: tenantPermissions(slug),
      expiresAt: expiresAt ?? undefined,
    })
    await tx.natsCredential.create({
      data: { tenantId: tenant.id, name, publicKey: user, expiresAt },
    })
    return { __typename: 'CreateNatsCredentialPayload' as const, creds, inboxPrefix }
  })
}
