import type { Bus, Stop } from '@punica/bus'
import type { SchedulerEvent } from '@punica/scheduler'
import {
  channels,
  type NodeRecord,
  nodeRecords,
  type PoolCommand,
  type PoolRecord,
  poolRecords,
  tenantRecords,
} from '@punica/schema'
import type { Bare } from './perform.ts'

export type StandingFacts = {
  /**
   * Tells the listener all that holds now, and then each change until `stop`. What is told would hold
   * for any other leader, too.
   */
  follow(listener: (event: Bare<SchedulerEvent>) => void): Stop
  /** Sequences of one step that a node of the pool gets at most; null: its own limit. */
  maxBatchSize(): number | null
  close(): void
}

/** Cordons that are remembered while standing by, of nodes that are there and of such as are not. */
const maxCordons = 4_096

/**
 * What a scheduler has to know before it takes its first request: the quotas and weights of the
 * catalog, the limits of the pool, and which nodes an operator has taken out of use, as the catalog
 * says or a command on the admin channel. A standby knows it as well as the leader.
 */
export const watchFacts = async (
  bus: Pick<Bus, 'records' | 'subscribe'>,
  pool: string,
): Promise<StandingFacts> => {
  /** By what they are about. */
  const newest = new Map<string, Bare<SchedulerEvent>>()
  const listeners = new Set<(event: Bare<SchedulerEvent>) => void>()
  let numCordons = 0

  const tell = (event: Bare<SchedulerEvent>): void => {
    for (const listener of listeners) listener(event)
  }

  const obey = (command: PoolCommand): void => {
    const key = `node ${command.nodeId}`
    const event = toEvent(command)
    if (newest.delete(key)) numCordons--
    if (command.type !== 'uncordon' && numCordons < maxCordons) {
      newest.set(key, event)
      numCordons++
    }
    tell(event)
  }

  const scheduleNode = (nodeId: string, record: NodeRecord | null): void => {
    if (record === null) {
      if (newest.has(`node ${nodeId}`)) obey({ type: 'uncordon', nodeId })
    } else if (record.pool === pool) {
      obey({ type: record.scheduling === 'drained' ? 'drain' : 'cordon', nodeId })
    }
  }

  let limits: PoolRecord | null = null
  const limit = (record: PoolRecord | null): void => {
    limits = record
    const { maxNodes = null, interTokenTargetMs = null } = record ?? {}
    const event = { type: 'poolChanged' as const, limits: { maxNodes, interTokenTargetMs } }
    newest.set('pool', event)
    tell(event)
  }

  const tenants = await bus.records(tenantRecords)
  const pools = await bus.records(poolRecords)
  const nodes = await bus.records(nodeRecords)
  const stops = [
    await tenants.watch(({ key, value }) => {
      const event = { type: 'tenantChanged' as const, tenant: key, record: value }
      if (value === null) newest.delete(`tenant ${key}`)
      else newest.set(`tenant ${key}`, event)
      tell(event)
    }),
    await pools.watch(({ key, value }) => {
      if (key === pool) limit(value)
    }),
    await nodes.watch(({ key, value }) => scheduleNode(key, value)),
    bus.subscribe(channels.admin(pool), obey),
  ]
  return {
    follow: (listener) => {
      for (const event of newest.values()) listener(event)
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
    maxBatchSize: () => limits?.maxBatchSize ?? null,
    close: () => {
      for (const stop of stops) stop()
    },
  }
}

const toEvent = ({ type, nodeId }: PoolCommand): Bare<SchedulerEvent> => {
  switch (type) {
    case 'cordon':
      return { type: 'nodeCordoned', nodeId }
    case 'drain':
      return { type: 'nodeDrained', nodeId }
    case 'uncordon':
      return { type: 'nodeUncordoned', nodeId }
  }
}
