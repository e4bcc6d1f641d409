import { type AccountClaims, issueCredentials } from '@punica/bus'
import { AppError, joinedNodePermissions, Slug } from '@punica/schema'
import { z } from 'zod'
import type { Projector } from '../catalog/projector.ts'
import { requireRevocation, revocationsKey } from '../catalog/revocations.ts'
import type { Database, Transaction } from '../db/database.ts'
import type { NodeJoinToken } from '../generated/prisma/client.ts'
import { isSameHash, noHash, parseKey } from '../keys/api-key.ts'
import { parseInput } from '../server/input.ts'
import { tokenStateOf } from './join-tokens.ts'

type Deps = {
  db: Database
  projector: Pick<Projector, 'settle'>
  accountClaims: AccountClaims | null
  accountSeed: string | null
}

const Input = z.strictObject({ token: z.string().max(256), nodeId: Slug })

export type Joined = { nodeId: string; pool: string; creds: string }

/**
 * Exchanges a join token for a NATS credential that is good for this node of the token's pool and
 * nothing else. The same node may do it again by the same token, as one must whose answer was lost:
 * what it had before is revoked. Throws AppError `unauthenticated`, `conflict` for a node that joined
 * otherwise, and `quota_exceeded` for a pool that is full.
 */
export const joinNode = async (deps: Deps, body: unknown): Promise<Joined> => {
  const { token, nodeId } = parseInput(Input, body)
  const { db, accountSeed } = deps
  if (accountSeed === null) {
    throw new AppError('unavailable', 'Joining needs the setting NATS_ACCOUNT_SEED')
  }
  const { id } = await requireToken(db, token)
  const joined = await db.$transaction(async (tx) => {
    const joinToken = await lockToken(tx, id)
    await replaceOrSpend(deps, tx, { joinToken, nodeId })
    const { poolName: pool, prefix } = joinToken
    const permissions = joinedNodePermissions(nodeId, pool)
    const { creds, user } = await issueCredentials(accountSeed, { name: nodeId, permissions })
    await tx.nodeCredential.create({ data: { nodeId, joinTokenId: id, publicKey: user } })
    const event = { actor: prefix, role: 'NODE', action: 'joinNode', outcome: 'ok' }
    await tx.auditEvent.create({ data: { ...event, target: nodeId } })
    return { nodeId, pool, creds }
  })
  await deps.projector.settle()
  return joined
}

const requireToken = async (db: Database, text: string): Promise<{ id: string }> => {
  const identity = parseKey(text, 'pj')
  const row =
    identity === null
      ? null
      : await db.nodeJoinToken.findUnique({ where: { prefix: identity.prefix } })
  if (isSameHash(identity?.hash ?? noHash, row?.hash ?? noHash) && row !== null) return row
  throw new AppError('unauthenticated', 'token: is not known', { param: 'token' })
}

/** One node at a time joins by a token, so that its uses are counted right. */
const lockToken = async (tx: Transaction, id: string): Promise<NodeJoinToken> => {
  await tx.$queryRaw`SELECT 1 FROM "node_join_token" WHERE "id" = ${id}::uuid FOR UPDATE`
  return tx.nodeJoinToken.findUniqueOrThrow({ where: { id } })
}

const replaceOrSpend = async (
  { db, accountClaims }: Deps,
  tx: Transaction,
  { joinToken, nodeId }: { joinToken: NodeJoinToken; nodeId: string },
): Promise<void> => {
  const { id, prefix, poolName, uses } = joinToken
  const state = tokenStateOf(joinToken)
  const refused = (why: string): AppError =>
    new AppError('unauthenticated', `token: ${prefix} ${why}; ask for another`, { param: 'token' })
  if (state === 'REVOKED') throw refused('is revoked')
  if (joinToken.expiresAt.getTime() <= Date.now()) throw refused('has expired')

  const before = await tx.nodeCredential.findFirst({ where: { nodeId, revokedAt: null } })
  if (before !== null) {
    if (before.joinTokenId !== id) {
      const message = `nodeId: node ${nodeId} has joined already; remove it first`
      throw new AppError('conflict', message, { param: 'nodeId' })
    }
    await requireRevocation(db, accountClaims)
    const data = { revokedAt: new Date() }
    await tx.nodeCredential.update({ where: { id: before.id }, data })
    await tx.outboxEntry.create({ data: { kind: 'revocations', key: revocationsKey } })
    return
  }
  if (state === 'USED') throw refused('has let in all the nodes that it may')
  await requireRoom(tx, poolName)
  await tx.nodeJoinToken.update({ where: { id }, data: { uses: uses + 1 } })
}

/** Nodes that came with the credential of their role count too; those that are lost do not. */
const requireRoom = async (tx: Transaction, name: string): Promise<void> => {
  await tx.$queryRaw`SELECT 1 FROM "pool" WHERE "name" = ${name} FOR UPDATE`
  const { maxNodes } = await tx.pool.findUniqueOrThrow({ where: { name } })
  if (maxNodes === null) return
  const [row] = await tx.$queryRaw<{ count: number }[]>`
    SELECT count(*)::int AS "count" FROM (
      SELECT "id" FROM "gpu_node" WHERE "pool" = ${name} AND "state" <> 'LOST'
      UNION
      SELECT "node_id" FROM "node_credential"
      JOIN "node_join_token" ON "node_join_token"."id" = "join_token_id"
      WHERE "pool_name" = ${name} AND "node_credential"."revoked_at" IS NULL
    ) AS "node"`
  if ((row?.count ?? 0) < maxNodes) return
  const message = `pool ${name} has ${maxNodes} nodes, the limit; remove one or raise the limit`
  throw new AppError('quota_exceeded', message)
}
