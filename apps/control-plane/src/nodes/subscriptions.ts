import type { Decision as DecisionMessage } from '@punica/schema'
import type { Decision, NodeEvent, SubscriptionResolvers } from '../generated/graphql.ts'
import { requireOperator } from '../keys/actor.ts'
import { mapBatches, oneByOne } from '../server/feed.ts'
import { toClusterState } from './cluster-state.ts'
import type { NodeHappening } from './inventory.ts'
import { latest } from './latest.ts'

export const nodeSubscriptions: Pick<
  SubscriptionResolvers,
  'clusterState' | 'nodeEvents' | 'decisions'
> = {
  clusterState: {
    subscribe: (_, { pool }, { actor, inventory, decisionWatch, poolReports, nodeWatch }) => {
      requireOperator(actor)
      const read = () => ({
        clusterState: toClusterState({ inventory, decisionWatch, poolReports }, pool ?? null),
      })
      return latest(read, nodeWatch.onChange)
    },
  },
  nodeEvents: {
    subscribe: (_, { pool }, { actor, nodeWatch }) => {
      requireOperator(actor)
      const accepts = ({ node }: NodeHappening): boolean =>
        pool === null || pool === undefined || node.status.pool === pool
      return oneByOne(nodeWatch.happenings.subscribe(accepts), (happening) => ({
        nodeEvents: toNodeEvent(happening),
      }))
    },
  },
  decisions: {
    subscribe: (_, { pool, tenant }, { actor, decisionWatch }) => {
      requireOperator(actor)
      const accepts = (decision: DecisionMessage): boolean =>
        (pool === null || pool === undefined || decision.pool === pool) &&
        (tenant === null || tenant === undefined || decision.tenant === tenant)
      return mapBatches(decisionWatch.feed.subscribe(accepts), ({ items, skipped }) => ({
        decisions: { decisions: items.map(toDecision), skipped },
      }))
    },
  },
}

const toNodeEvent = ({
  at,
  kind,
  node: { state, scheduling, status },
}: NodeHappening): NodeEvent => ({
  at,
  kind,
  nodeId: status.nodeId,
  pool: status.pool,
  state,
  scheduling,
  reason: status.reason ?? null,
})

const kinds = {
  place: 'PLACE',
  queue: 'QUEUE',
  evict: 'EVICT',
  move: 'MOVE',
  refuse: 'REFUSE',
  cancel: 'CANCEL',
  interrupt: 'INTERRUPT',
  scale: 'SCALE',
  cordon: 'CORDON',
  drain: 'DRAIN',
  uncordon: 'UNCORDON',
} as const

const toDecision = (message: DecisionMessage): Decision => ({
  seq: message.seq,
  at: new Date(message.timeMs),
  pool: message.pool,
  kind: kinds[message.kind],
  requestId: message.requestId ?? null,
  tenant: message.tenant ?? null,
  nodeId: message.nodeId ?? null,
  wantedNodes: message.wanted ?? null,
  reason: message.reason,
})
