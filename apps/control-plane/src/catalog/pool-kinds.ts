import { type NodeRecord, nodeRecords, type PoolRecord, poolRecords } from '@punica/schema'
import type { CatalogKind } from './kinds.ts'

export const pools: CatalogKind<PoolRecord> = {
  kind: poolRecords,
  listKeys: async (db) =>
    (await db.pool.findMany({ select: { name: true } })).map(({ name }) => name),
  read: async (db, keys) => {
    const rows = await db.pool.findMany({ where: { name: { in: [...keys] } } })
    return new Map(
      rows.map(({ name, baseModelName, maxNodes, interTokenTargetMs, maxBatchSize }) => [
        name,
        { name, baseModel: baseModelName, maxNodes, interTokenTargetMs, maxBatchSize },
      ]),
    )
  },
}

/** Only of nodes that may not work as usual. */
const restricted = { scheduling: { not: 'OPEN' } } as const

export const nodes: CatalogKind<NodeRecord> = {
  kind: nodeRecords,
  listKeys: async (db) =>
    (await db.gpuNode.findMany({ where: restricted, select: { id: true } })).map(({ id }) => id),
  read: async (db, keys) => {
    const where = { ...restricted, id: { in: [...keys] } }
    const rows = await db.gpuNode.findMany({
      where,
      select: { id: true, pool: true, scheduling: true },
    })
    return new Map(
      rows.map(({ id, pool, scheduling }) => [
        id,
        { nodeId: id, pool, scheduling: scheduling === 'DRAINED' ? 'drained' : 'cordoned' },
      ]),
    )
  },
}
