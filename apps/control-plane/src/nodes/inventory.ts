import type { NodeEvent, NodeStatus } from '@punica/schema'
import type { NodeState } from '../generated/prisma/client.ts'

/** A node as it last reported, and whether it still does. */
export type NodeView = { state: NodeState; lastSeenAt: Date; status: NodeStatus }

export type NodeChanges = { changed: NodeView[]; removed: string[] }

export type Inventory = {
  /** Nodes that were known before this process started; what they report meanwhile is newer. */
  restore(nodes: readonly NodeView[]): void
  handle(event: NodeEvent, nowMs: number): void
  /** Marks nodes that went silent as lost, and forgets those lost for long. */
  tick(nowMs: number): void
  /** By id; of one pool, or of all. */
  list(pool?: string | null): NodeView[]
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

/** The nodes of all pools, from what they say of themselves. It never does I/O. */
export const createInventory = (): Inventory => {
  const nodes = new Map<string, NodeView>()
  const changed = new Set<string>()
  const removed = new Set<string>()

  const set = (node: NodeView): void => {
    const { nodeId } = node.status
    nodes.set(nodeId, node)
    changed.add(nodeId)
    removed.delete(nodeId)
  }

  const remove = (nodeId: string): void => {
    if (!nodes.delete(nodeId)) return
    changed.delete(nodeId)
    removed.add(nodeId)
  }

  return {
    restore: (known) => {
      for (const node of known) {
        if (!nodes.has(node.status.nodeId)) nodes.set(node.status.nodeId, node)
      }
    },
    handle: (event, nowMs) => {
      switch (event.type) {
        case 'status': {
          const { status } = event
          if (nodes.size >= maxNodes && !nodes.has(status.nodeId)) return
          set({ state: states[status.state], lastSeenAt: new Date(nowMs), status })
          return
        }
        case 'leaving':
          remove(event.nodeId)
          return
        case 'ended':
          return
      }
    },
    tick: (nowMs) => {
      for (const node of nodes.values()) {
        const silentMs = nowMs - node.lastSeenAt.getTime()
        if (silentMs > keepLostMs) remove(node.status.nodeId)
        else if (silentMs > silenceMs && node.state !== 'LOST') set({ ...node, state: 'LOST' })
      }
    },
    list: (pool) =>
      [...nodes.values()]
        .filter(({ status }) => pool === undefined || pool === null || status.pool === pool)
        .sort((a, b) => (a.status.nodeId < b.status.nodeId ? -1 : 1)),
    takeChanges: () => {
      const taken = {
        changed: [...changed].flatMap((id) => nodes.get(id) ?? []),
        removed: [...removed],
      }
      changed.clear()
      removed.clear()
      return taken
    },
  }
}
