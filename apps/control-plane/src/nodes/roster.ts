import type { NodeScheduling } from '../generated/prisma/client.ts'
import type { NodeChanges, NodeHappening, NodeRow, NodeView } from './inventory.ts'
import { measureRate } from './rate.ts'

export type Roster = {
  readonly nodes: ReadonlyMap<string, NodeView>
  restore(known: readonly NodeRow[]): void
  set(node: NodeView, nowMs: number): void
  remove(nodeId: string, kind: 'LEFT' | 'REMOVED', nowMs: number): void
  schedule(nodeId: string, scheduling: NodeScheduling, nowMs: number): void
  /** Whether it has changed since `takeChanges`. */
  isUnwritten(nodeId: string): boolean
  takeChanges(): NodeChanges
}

/** The nodes of the inventory, what of them must be written down, and what happened to them. */
export const createRoster = (onHappening: (happening: NodeHappening) => void): Roster => {
  const nodes = new Map<string, NodeView>()
  const changed = new Set<string>()
  const removed = new Set<string>()

  const tell = (kind: NodeHappening['kind'], node: NodeView, nowMs: number): void =>
    onHappening({ at: new Date(nowMs), kind, node })

  return {
    nodes,
    restore: (known) => {
      for (const node of known) {
        const { nodeId } = node.status
        const reported = nodes.get(nodeId)
        if (reported !== undefined) nodes.set(nodeId, { ...reported, scheduling: node.scheduling })
        else nodes.set(nodeId, { ...node, rate: measureRate(null, node.status, 0) })
      }
    },
    set: (node, nowMs) => {
      const { nodeId } = node.status
      const before = nodes.get(nodeId)
      nodes.set(nodeId, node)
      changed.add(nodeId)
      removed.delete(nodeId)
      if (before === undefined) tell('JOINED', node, nowMs)
      else if (before.state !== node.state) tell('STATE_CHANGED', node, nowMs)
    },
    remove: (nodeId, kind, nowMs) => {
      const node = nodes.get(nodeId)
      if (node === undefined) return
      nodes.delete(nodeId)
      changed.delete(nodeId)
      removed.add(nodeId)
      tell(kind, node, nowMs)
    },
    schedule: (nodeId, scheduling, nowMs) => {
      const node = nodes.get(nodeId)
      if (node === undefined || node.scheduling === scheduling) return
      nodes.set(nodeId, { ...node, scheduling })
      tell('SCHEDULING_CHANGED', { ...node, scheduling }, nowMs)
    },
    isUnwritten: (nodeId) => changed.has(nodeId),
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
