import type { EndReason, NodeStatus, Task } from '@punica/schema'
import type { Command, SchedulerEvent } from '../events.ts'
import { adapterRef, nodeStatus } from './fixtures.ts'

type Bare<E> = E extends unknown ? Omit<E, 'nowMs'> : never
/** An event before the scheduler's clock is put on it. */
export type Message = Bare<SchedulerEvent>
type Order = Extract<Command, { type: 'assign' | 'cancel' }>

export type Running = { task: Task; numTokens: number }

const maxBatchSize = 4
const numPages = 16

/** Each takes three pages of a pretended node. */
export const adapters = ['a', 'b', 'c'].map((letter) => adapterRef(letter, 300))

/** A node that counts pages as a real one does and computes nothing. */
export const createFakeNode = (
  nodeId: string,
  onEnd: (running: Running, reason: EndReason) => void,
) => {
  const node = {
    nodeId,
    incarnation: 0,
    running: new Map<string, Running>(),
    inbox: [] as Order[],
    outbox: [] as Message[],
    /** Messages about an end that get lost on the way: the caller decides. */
    losesEnds: () => false,
  }

  const end = (key: string, reason: EndReason): void => {
    const running = node.running.get(key)
    if (running === undefined) return
    node.running.delete(key)
    onEnd(running, reason)
    if (node.losesEnds()) return
    const { requestId, attempt } = running.task
    const byPressure = reason === 'evicted'
    node.outbox.push({ type: 'ended', nodeId, requestId, attempt, reason, byPressure })
  }

  const assign = (task: Task, refuses: boolean): void => {
    const { requestId, attempt } = task
    if (refuses || node.running.size >= maxBatchSize) {
      const error = { code: 'overloaded' as const, message: 'no room' }
      node.outbox.push({ type: 'assignRefused', error, nodeId, requestId, attempt })
      return
    }
    node.running.set(keyOf(task), { task, numTokens: task.tokens.length })
    node.outbox.push({ type: 'assignAccepted', nodeId, requestId, attempt })
  }

  return Object.assign(node, {
    /** Reads its next order; with `refuses` it says no to an assignment. */
    read: (refuses: boolean): void => {
      const order = node.inbox.shift()
      if (order?.type === 'assign') assign(order.task, refuses)
      if (order?.type === 'cancel') end(keyOf(order), 'cancelled')
    },
    /** One decode step; `stops` says which requests end by themselves. */
    step: (stops: () => boolean): void => {
      for (const running of node.running.values()) running.numTokens++
      while (pagesUsed(node.running.values()) > numPages) {
        const newest = [...node.running.keys()].at(-1)
        if (newest !== undefined) end(newest, 'evicted')
      }
      for (const key of [...node.running.keys()]) if (stops()) end(key, 'stop')
    },
    /** The process dies with all it had; returns the assignments that will not be answered. */
    restart: (): Message[] => {
      const unanswered = node.inbox.flatMap((order): Message[] => {
        if (order.type !== 'assign') return []
        const { requestId, attempt } = order.task
        return [{ type: 'assignUnanswered', nodeId, requestId, attempt }]
      })
      node.incarnation++
      node.running.clear()
      node.inbox.length = 0
      node.outbox.length = 0
      return unanswered
    },
    report: (): void => {
      node.outbox.push({ type: 'nodeReported', status: toStatus(node) })
    },
  })
}

type FakeNode = ReturnType<typeof createFakeNode>

const keyOf = ({ requestId, attempt }: { requestId: string; attempt: number }): string =>
  `${requestId} ${attempt}`

const pagesUsed = (running: Iterable<Running>): number => {
  let pages = 0
  const inUse = new Set<string>()
  for (const { task, numTokens } of running) {
    pages += Math.ceil((numTokens + 1) / 16)
    if (task.adapter !== null) inUse.add(task.adapter.digest)
  }
  return pages + 3 * inUse.size
}

const toStatus = ({
  nodeId,
  incarnation,
  running,
}: Pick<FakeNode, 'nodeId' | 'incarnation' | 'running'>): NodeStatus => {
  const tasks = [...running.values()].map(({ task }) => task)
  return nodeStatus(nodeId, {
    incarnation: String(incarnation),
    maxBatchSize,
    numPages,
    freePages: Math.max(0, numPages - pagesUsed(running.values())),
    requests: tasks.map(({ requestId, attempt, gatewayId }) => ({ requestId, attempt, gatewayId })),
    adapters: adapters.map(({ digest, sizeBytes }) => ({
      digest,
      sizeBytes,
      tier: 'host',
      requests: tasks.filter(({ adapter }) => adapter?.digest === digest).length,
    })),
  })
}
