import { AppError } from '@punica/schema'
import type { Change, Commit } from '../audit/perform.ts'
import { revocationsKey } from '../catalog/revocations.ts'
import type { Inventory } from './inventory.ts'
import { requireNode } from './schedule.ts'

type Deps = {
  commit: Commit
  inventory: Pick<Inventory, 'find' | 'remove'>
  /** Throws where NATS credentials cannot be revoked. */
  requireRevocation: () => Promise<void>
}

/** Forgets a node that serves nobody. Throws AppError `not_found`, and `conflict` for one that does. */
export const removeNode = async (
  { commit, inventory, requireRevocation }: Deps,
  id: string,
): Promise<void> => {
  const { state, scheduling, status } = requireNode(inventory, id)
  const isVacated = scheduling === 'DRAINED' && status.requests.length === 0
  if (state !== 'LOST' && !isVacated) {
    const message = `id: node ${id} serves; drain it and wait until it runs nothing, or stop it`
    throw new AppError('conflict', message, { param: 'id' })
  }
  await commit(async (change) => {
    await change.tx.gpuNode.deleteMany({ where: { id } })
    change.changed('node', id)
    await revokeCredentials(change, id, requireRevocation)
  })
  inventory.remove(id, Date.now())
}

/** Revokes what a node joined with; one that came with the credential of its role has none. */
const revokeCredentials = async (
  { tx, changed }: Change,
  nodeId: string,
  requireRevocation: () => Promise<void>,
): Promise<void> => {
  const where = { nodeId, revokedAt: null }
  if ((await tx.nodeCredential.count({ where })) === 0) return
  await requireRevocation()
  await tx.nodeCredential.updateMany({ where, data: { revokedAt: new Date() } })
  changed('revocations', revocationsKey)
}
