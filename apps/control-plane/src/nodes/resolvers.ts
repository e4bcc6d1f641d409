import type {
  GpuNodeResolvers,
  PoolResolvers,
  QueryResolvers,
  SubscriptionResolvers,
} from '../generated/graphql.ts'
import { requireOperator } from '../keys/actor.ts'
import { latest } from './latest.ts'

export const nodeQueries: Pick<QueryResolvers, 'nodes' | 'pools'> = {
  nodes: (_, { pool }, { actor, inventory }) => {
    requireOperator(actor)
    return inventory.list(pool)
  },
  pools: (_, __, { actor, db }) => {
    requireOperator(actor)
    return db.pool.findMany({ orderBy: { name: 'asc' } })
  },
}

export const nodeSubscriptions: Pick<SubscriptionResolvers, 'nodesChanged'> = {
  nodesChanged: {
    subscribe: (_, { pool }, { actor, inventory, nodeWatch }) => {
      requireOperator(actor)
      const nodes = () => ({ nodesChanged: inventory.list(pool) })
      return latest(nodes, nodeWatch.onChange)
    },
  },
}

export const Pool: PoolResolvers = {
  baseModel: ({ baseModelName }) => baseModelName,
  nodes: ({ name }, _, { inventory }) => inventory.list(name),
}

export const GpuNode: GpuNodeResolvers = {
  id: ({ status }) => status.nodeId,
  pool: ({ status }) => status.pool,
  reason: ({ status }) => status.reason ?? null,
  backend: ({ status }) => status.hardware.backend,
  description: ({ status }) => status.hardware.description,
  memoryBytes: ({ status }) => status.hardware.memoryBytes,
  requests: ({ status }) => status.requests.length,
  maxBatchSize: ({ status }) => status.maxBatchSize,
  numPages: ({ status }) => status.numPages,
  freePages: ({ status }) => status.freePages,
  kvPages: ({ status }) => status.kvPages,
  adapterPages: ({ status }) => status.adapterPages,
  adaptersInBatch: ({ status }) => status.counters.adaptersInBatch,
  generatedTokens: ({ status }) => status.counters.generatedTokens,
  residentAdapters: ({ status }) => status.adapters,
}
