import { AppError, Slug } from '@punica/schema'
import { z } from 'zod'
import type { Commit } from '../audit/perform.ts'
import { perform } from '../audit/perform.ts'
import type {
  CreateNodeJoinTokenInput,
  MutationResolvers,
  NodeJoinTokenResolvers,
  QueryResolvers,
} from '../generated/graphql.ts'
import { type NodeJoinToken as NodeJoinTokenRow, Prisma } from '../generated/prisma/client.ts'
import { requireOperator } from '../keys/actor.ts'
import { createKey } from '../keys/api-key.ts'
import { type CredentialState, inState, stateOf } from '../keys/state.ts'
import { DisplayName, ExpiresAt, parseId, parseInput } from '../server/input.ts'
import { byCreation, listPage } from '../server/list.ts'

const hourMs = 3600_000
const maxLifetimeMs = 30 * 24 * hourMs

const Input = z.object({
  name: DisplayName,
  pool: Slug,
  maxUses: z.int().min(1, 'must be 1 to 1000').max(1000, 'must be 1 to 1000'),
  expiresAt: ExpiresAt.refine(
    (date) => date === null || date.getTime() <= Date.now() + maxLifetimeMs,
    'must be within 30 days',
  ),
})

const createNodeJoinToken = (commit: Commit, input: CreateNodeJoinTokenInput) => {
  const { name, pool, maxUses, expiresAt } = parseInput(Input, input)
  return commit(async ({ tx }) => {
    if ((await tx.pool.findUnique({ where: { name: pool } })) === null) {
      throw new AppError('not_found', `pool: there is no pool ${pool}`, { param: 'pool' })
    }
    const { prefix, hash, secret } = createKey('pj')
    const end = expiresAt ?? new Date(Date.now() + hourMs)
    const data = { prefix, hash, name, poolName: pool, maxUses, expiresAt: end }
    const joinToken = await tx.nodeJoinToken.create({ data })
    return { __typename: 'CreateNodeJoinTokenPayload' as const, joinToken, secret }
  })
}

const revokeNodeJoinToken = (commit: Commit, tokenId: string) => {
  const id = parseId('id', tokenId)
  return commit(async ({ tx }) => {
    const data = { revokedAt: new Date() }
    await tx.nodeJoinToken.updateMany({ where: { id, revokedAt: null }, data })
    const joinToken = await tx.nodeJoinToken.findUnique({ where: { id } })
    if (joinToken === null) {
      throw new AppError('not_found', `id: there is no join token ${id}`, { param: 'id' })
    }
    return { __typename: 'RevokeNodeJoinTokenPayload' as const, joinToken }
  })
}

export const joinTokenMutations: Pick<
  MutationResolvers,
  'createNodeJoinToken' | 'revokeNodeJoinToken'
> = {
  createNodeJoinToken: (_, { input }, context) =>
    perform(context, { action: 'createNodeJoinToken', target: input.name }, async (commit) => {
      requireOperator(context.actor)
      return createNodeJoinToken(commit, input)
    }),
  revokeNodeJoinToken: (_, { input }, context) =>
    perform(context, { action: 'revokeNodeJoinToken', target: input.id }, async (commit) => {
      requireOperator(context.actor)
      return revokeNodeJoinToken(commit, input.id)
    }),
}

export const joinTokenQueries: Pick<QueryResolvers, 'nodeJoinTokens'> = {
  nodeJoinTokens: (_, { state, ...page }, { actor, db }) => {
    requireOperator(actor)
    const where = inTokenState(state)
    const list = { table: 'node_join_token', where, order: byCreation('DESC') }
    return listPage(db, list, page, (ids) =>
      db.nodeJoinToken.findMany({ where: { id: { in: ids } } }),
    )
  },
}

/** Spent comes before expired, and revoked before both. */
const inTokenState = (state: CredentialState | null | undefined): Prisma.Sql[] => {
  if (state === 'USED') return [Prisma.sql`"revoked_at" IS NULL AND "uses" = "max_uses"`]
  const isOpen = state === 'ACTIVE' || state === 'EXPIRED'
  return [...inState(state), ...(isOpen ? [Prisma.sql`"uses" < "max_uses"`] : [])]
}

export const tokenStateOf = (token: NodeJoinTokenRow): CredentialState =>
  token.revokedAt === null && token.uses >= token.maxUses ? 'USED' : stateOf(token)

export const NodeJoinToken: NodeJoinTokenResolvers = {
  pool: ({ poolName }) => poolName,
  state: tokenStateOf,
}
