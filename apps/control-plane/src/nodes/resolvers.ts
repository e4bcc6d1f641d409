import { describeChanges } from '../audit/describe.ts'
import { perform } from '../audit/perform.ts'
import { requireRevocation } from '../catalog/revocations.ts'
import type {
  GpuNodeResolvers,
  MutationResolvers,
  PoolResolvers,
  QueryResolvers,
} from '../generated/graphql.ts'
import type { NodeScheduling } from '../generated/prisma/client.ts'
import { requireOperator } from '../keys/actor.ts'
import type { Context } from '../server/context.ts'
import { listNodes } from './list.ts'
import { removeNode } from './remove.ts'
import { scheduleNode } from './schedule.ts'
import { updatePool } from './update-pool.ts'

export const nodeQueries: Pick<QueryResolvers, 'nodes' | 'node' | 'pools' | 'pool'> = {
  nodes: (_, { pool, ...args }, { actor, inventory }) => {
    requireOperator(actor)
    return listNodes(inventory.list(pool), args)
  },
  node: (_, { id }, { actor, inventory }) => {
    requireOperator(actor)
    return inventory.find(id)
  },
  pools: (_, __, { actor, db }) => {
    requireOperator(actor)
    return db.pool.findMany({ orderBy: { name: 'asc' } })
  },
  pool: (_, { name }, { actor, db }) => {
    requireOperator(actor)
    return db.pool.findUnique({ where: { name } })
  },
}

export const nodeMutations: Pick<
  MutationResolvers,
  'updatePool' | 'cordonNode' | 'drainNode' | 'uncordonNode' | 'removeNode'
> = {
  updatePool: (_, { input }, context) => {
    const { name, ...changes } = input
    const act = { action: 'updatePool', target: `${name} ${describeChanges(changes)}` }
    return perform(context, act, async (commit) => {
      requireOperator(context.actor)
      return updatePool(commit, input)
    })
  },

  cordonNode: (_, { input }, context) =>
    schedule(context, input.id, { action: 'cordonNode', scheduling: 'CORDONED' }),
  drainNode: (_, { input }, context) =>
    schedule(context, input.id, { action: 'drainNode', scheduling: 'DRAINED' }),
  uncordonNode: (_, { input }, context) =>
    schedule(context, input.id, { action: 'uncordonNode', scheduling: 'OPEN' }),

  removeNode: (_, { input: { id } }, context) =>
    perform(context, { action: 'removeNode', target: id }, async (commit) => {
      const { actor, db, inventory, accountClaims } = context
      requireOperator(actor)
      const deps = {
        commit,
        inventory,
        requireRevocation: () => requireRevocation(db, accountClaims),
      }
      await removeNode(deps, id)
      return { __typename: 'RemoveNodePayload' as const, id }
    }),
}

const payloads = {
  cordonNode: 'CordonNodePayload',
  drainNode: 'DrainNodePayload',
  uncordonNode: 'UncordonNodePayload',
} as const

const schedule = <A extends keyof typeof payloads>(
  context: Context,
  id: string,
  { action, scheduling }: { action: A; scheduling: NodeScheduling },
) =>
  perform(context, { action, target: id }, async (commit) => {
    requireOperator(context.actor)
    const node = await scheduleNode({ commit, inventory: context.inventory }, id, scheduling)
    return { __typename: payloads[action], node }
  })

export const Pool: PoolResolvers = {
  baseModel: ({ baseModelName }) => baseModelName,
  scaleHint: ({ name }, _, { decisionWatch }) => decisionWatch.scaleHint(name),
  nodes: ({ name }, page, { inventory }) => listNodes(inventory.list(name), page),
}

export const GpuNode: GpuNodeResolvers = {
  id: ({ status }) => status.nodeId,
  pool: ({ status }) => status.pool,
  reason: ({ status }) => status.reason ?? null,
  baseModel: ({ status }) => status.baseModel,
  backend: ({ status }) => status.hardware.backend,
  description: ({ status }) => status.hardware.description,
  memoryBytes: ({ status }) => status.hardware.memoryBytes,
  bandwidthBytesPerSecond: ({ status }) => status.hardware.bandwidthBytesPerSecond ?? null,
  requests: ({ status }) => status.requests.length,
  maxBatchSize: ({ status }) => status.maxBatchSize,
  maxContext: ({ status }) => status.maxContext,
  numPages: ({ status }) => status.numPages,
  freePages: ({ status }) => status.freePages,
  kvPages: ({ status }) => status.kvPages,
  adapterPages: ({ status }) => status.adapterPages,
  pageBytes: ({ status }) => status.pageBytes,
  pageSize: ({ status }) => status.pageSize,
  batchSize: ({ status }) => status.counters.batchSize,
  adaptersInBatch: ({ status }) => status.counters.adaptersInBatch,
  stepMs: ({ status }) => status.counters.stepMs,
  promptTokens: ({ status }) => status.counters.promptTokens,
  generatedTokens: ({ status }) => status.counters.generatedTokens,
  tokensPerSecond: ({ state, rate }) => (state === 'LOST' ? 0 : rate.perSecond),
  residentAdapters: ({ status }) => status.adapters,
  runningRequests: ({ status }) =>
    status.requests.map(({ requestId, attempt, tenant, adapterDigest, numTokens, maxTokens }) => ({
      requestId,
      attempt,
      tenant: tenant ?? null,
      adapterDigest: adapterDigest ?? null,
      numTokens: numTokens ?? null,
      maxTokens: maxTokens ?? null,
    })),
}
