import { issueCredentials } from '@punica/bus'
import { AppError, Slug, tenantPermissions } from '@punica/schema'
import { z } from 'zod'
import type { Commit } from '../audit/perform.ts'
import { revocationsKey } from '../catalog/revocations.ts'
import type { CreateNatsCredentialInput } from '../generated/graphql.ts'
import type { NatsCredential } from '../generated/prisma/client.ts'
import { DisplayName, ExpiresAt, parseInput } from '../server/input.ts'
import { requireTenant } from '../tenants/find.ts'
import { lockTenant } from '../tenants/lock.ts'

const Input = z.object({ tenant: Slug, name: DisplayName, expiresAt: ExpiresAt })

/** Credentials of one tenant that hold at a time. */
const maxCredentials = 1_000

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
    await lockTenant(tx, tenant.id)
    const holds = { revokedAt: null, OR: [{ expiresAt: null }, { expiresAt: { gt: new Date() } }] }
    if (
      (await tx.natsCredential.count({ where: { tenantId: tenant.id, ...holds } })) >=
      maxCredentials
    ) {
      const message = `tenant ${slug} has ${maxCredentials} NATS credentials, the limit; revoke some`
      throw new AppError('quota_exceeded', message)
    }
    const { creds, inboxPrefix, user } = await issueCredentials(accountSeed, {
      name: `${slug}/${name}`,
      permissions: tenantPermissions(slug),
      expiresAt: expiresAt ?? undefined,
    })
    const natsCredential = await tx.natsCredential.create({
      data: { tenantId: tenant.id, name, publicKey: user, expiresAt },
    })
    return {
      __typename: 'CreateNatsCredentialPayload' as const,
      natsCredential,
      creds,
      inboxPrefix,
    }
  })
}

/** Revokes a credential for good; revoking it again keeps the first time. */
export const revokeNatsCredential = (commit: Commit, { id }: Pick<NatsCredential, 'id'>) =>
  commit(async ({ tx, changed }) => {
    const where = { id, revokedAt: null }
    await tx.natsCredential.updateMany({ where, data: { revokedAt: new Date() } })
    changed('revocations', revocationsKey)
    const natsCredential = await tx.natsCredential.findUniqueOrThrow({ where: { id } })
    return { __typename: 'RevokeNatsCredentialPayload' as const, natsCredential }
  })
