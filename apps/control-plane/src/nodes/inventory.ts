import type { NodeEvent, NodeStatus } from '@punica/schema'
import type { NodeScheduling, NodeState } from '../generated/prisma/client.ts'
import { measureRate, type Rate } from './rate.ts'
import { createRoster } from './roster.ts'

/** A node as it last reported, whether it still does, and what an operator wants of it. */
export type NodeView = {
  state: NodeState
  scheduling: NodeScheduling
  lastSeenAt: Date
  status: NodeStatus
  rate: Rate
}

export type NodeRow = Omit<NodeView, 'rate'>

export type NodeChanges = { changed: NodeView[]; removed: string[] }

/** Something that an operator wants to be told of. */
export type NodeHappening = {
  at: Date
  kind: 'JOINED' | 'STATE_CHANGED' | 'SCHEDULING_CHANGED' | 'LEFT' | 'REMOVED'
  node: NodeView
}

export type Inventory = {
  /** Nodes that were known before this process started; what they report meanwhile is newer. */
  restore(nodes: readonly NodeRow[]): void
  handle(event: NodeEvent, nowMs: number): void
  /** Marks nodes that went silent as lost, and forgets those lost for long. */
  tick(nowMs: number): void
  /** What operators have said to any control plane, by node; a lost node without is forgotten. */
  sync(known: ReadonlyMap<string, NodeScheduling>, nowMs: number): void
  schedule(nodeId: string, scheduling: NodeScheduling, nowMs: number): void
  remove(nodeId: string, nowMs: number): void
  /** By id; of one pool, or of all. */
  list(pool?: string | null): NodeView[]
  find(nodeId: string): NodeView | null
  /** What changed since the last call. */
  takeChanges(): NodeChanges
}

/** A node reports several times a second. */
const silenceMs = 5_000
const keepLostMs = 24 * 3600_000
/** Beyond it new nodes are not listed: no cluster is as large, and a broken node may make up ids. */
const maxNodes = 10_000

const states = {
  starting: 'STARTING',
  ready: 'READY',
  draining: 'DRAINING',
  failed: 'FAILED',
} as const

/**
 * The nodes of all pools, from what they say of themselves. It never does I/O; `onHappening` is told
 * what an operator may want to know.
 */
export const createInventory = (
  onHappening: (happening: NodeHappening) => void = () => {},
): Inventory => {
  const roster = createRoster(onHappening)
  const { nodes, set, remove, schedule } = roster

  /** What an operator has said of a node outlasts the node: it is forgotten only by an operator. */
  const loseOrRemove = (node: NodeView, kind: 'LEFT' | 'REMOVED', nowMs: number): void => {
    if (node.scheduling === 'OPEN') remove(node.status.nodeId, kind, nowMs)
    else if (node.state !== 'LOST') set({ ...node, state: 'LOST' }, nowMs)
  }

  const report = (status: NodeStatus, nowMs: number): void => {
    const before = nodes.get(status.nodeId)
    if (nodes.size >= maxNodes && before === undefined) return
    const node = {
      state: states[status.state],
      scheduling: before?.scheduling ?? 'OPEN',
      lastSeenAt: new Date(nowMs),
      status,
      rate: measureRate(before ?? null, status, nowMs),
    }
    set(node, nowMs)
  }

  return {
    restore: roster.restore,
    handle: (event, nowMs) => {
      if (event.type === 'status') report(event.status, nowMs)
      if (event.type !== 'leaving') return
      const node = nodes.get(event.nodeId)
      if (node !== undefined) loseOrRemove(node, 'LEFT', nowMs)
    },
    tick: (nowMs) => {
      for (const node of nodes.values()) {
        const silentMs = nowMs - node.lastSeenAt.getTime()
        if (silentMs > keepLostMs) loseOrRemove(node, 'REMOVED', nowMs)
        else if (silentMs > silenceMs && node.state !== 'LOST') {
          set({ ...node, state: 'LOST' }, nowMs)
        }
      }
    },
    sync: (known, nowMs) => {
      for (const { state, status } of nodes.values()) {
        const scheduling = known.get(status.nodeId)
        if (scheduling !== undefined) schedule(status.nodeId, scheduling, nowMs)
        else if (state === 'LOST' && !roster.isUnwritten(status.nodeId)) {
          remove(status.nodeId, 'REMOVED', nowMs)
        }
      }
    },
    schedule,
    remove: (nodeId, nowMs) => remove(nodeId, 'REMOVED', nowMs),
    list: (pool) =>
      [...nodes.values()]
        .filter(({ status }) => pool === undefined || pool === null || status.pool === pool)
        .sort((a, b) => (a.status.nodeId < b.status.nodeId ? -1 : 1)),
    find: (nodeId) => nodes.get(nodeId) ?? null,
    takeChanges: roster.takeChanges,
  }
}
