import { AppError, ModelName, Slug } from '@punica/schema'
import { z } from 'zod'
import type { Change, Commit } from '../audit/perform.ts'
import { adapterKey } from '../catalog/adapter-kind.ts'
import type { GrantAdapterInput } from '../generated/graphql.ts'
import { parseInput } from '../server/input.ts'
import { requireTenant } from '../tenants/find.ts'
import { lockAdapter } from './find-adapter.ts'

const Input = z.object({ tenant: Slug, name: ModelName, to: Slug })

/** As many as a catalog record holds. */
const maxGrants = 4096

/** Lets another tenant use an adapter; granting it again changes nothing. */
export const grantAdapter = (commit: Commit, input: GrantAdapterInput) => {
  const { tenant, name, to } = parseInput(Input, input)
  if (tenant === to) {
    throw new AppError('invalid_request', 'to: is the owner of the adapter', { param: 'to' })
  }
  return commit(async (change) => {
    const { adapter, other } = await findBoth(change, { tenant, name, to })
    await change.tx.adapterGrant.createMany({
      data: { adapterId: adapter.id, tenantId: other.id },
      skipDuplicates: true,
    })
    const numGrants = await change.tx.adapterGrant.count({ where: { adapterId: adapter.id } })
    if (numGrants > maxGrants) {
      throw new AppError('conflict', `${name} is granted to ${maxGrants} tenants, the limit`)
    }
    change.changed('adapter', adapterKey(tenant, name))
    return { __typename: 'GrantAdapterPayload' as const, adapter }
  })
}

/** Takes a grant back; without a grant it changes nothing. */
export const revokeAdapterGrant = (commit: Commit, input: GrantAdapterInput) => {
  const { tenant, name, to } = parseInput(Input, input)
  return commit(async (change) => {
    const { adapter, other } = await findBoth(change, { tenant, name, to })
    const where = { adapterId: adapter.id, tenantId: other.id }
    await change.tx.adapterGrant.deleteMany({ where })
    change.changed('adapter', adapterKey(tenant, name))
    return { __typename: 'GrantAdapterPayload' as const, adapter }
  })
}

const findBoth = async (
  { tx }: Change,
  { tenant, name, to }: { tenant: string; name: string; to: string },
) => ({
  adapter: await lockAdapter(tx, tenant, name),
  other: await requireTenant(tx, to, 'to'),
})
