import { AppError } from '@punica/schema'
import type { Commit } from '../audit/perform.ts'
import type { NodeScheduling } from '../generated/prisma/client.ts'
import type { Inventory, NodeView } from './inventory.ts'
import { saveNodes } from './node-rows.ts'

type Deps = { commit: Commit; inventory: Pick<Inventory, 'find' | 'schedule'> }

/** Throws AppError `not_found`. */
export const requireNode = (inventory: Pick<Inventory, 'find'>, id: string): NodeView => {
  const node = inventory.find(id)
  if (node !== null) return node
  throw new AppError('not_found', `id: there is no node ${id}`, { param: 'id' })
}

/**
 * Says what the scheduler may do with a node, until an operator says otherwise: the pool's router
 * learns it from the catalog, and so does one that takes its place.
 */
export const scheduleNode = async (
  { commit, inventory }: Deps,
  id: string,
  scheduling: NodeScheduling,
): Promise<NodeView> => {
  const node = requireNode(inventory, id)
  await commit(async ({ tx, changed }) => {
    // A node that has just come may not be written down yet.
    await saveNodes(tx, { changed: [node], removed: [] })
    await tx.gpuNode.update({ where: { id }, data: { scheduling } })
    changed('node', id)
  })
  inventory.schedule(id, scheduling, Date.now())
  return requireNode(inventory, id)
}
