import type { EndReason, NodeStatus, Task } from '@punica/schema'
import type { Command, SchedulerEvent } from '../events.ts'
import { adapterRef, nodeStatus } from './fixtures.ts'

type Bare<E> = E extends unknown ? Omit<E, 'nowMs'> : never
/** An event before the scheduler's clock is put on it. */
export type Message = Bare<SchedulerEvent>
type Order = Extract<Command, { type: 'assign' | 'cancel' | 'evict' }>

export type Running = { task: Task; numTokens: number }

const maxBatchSize = 4
const pageSize = 16

/** A step that is bound by memory, in the terms of the status: 1000 tokens of context are 1 ms. */
const hardware = {
  backend: 'cuda' as const,
  description: 'pretended',
  memoryBytes: 0,
  weightBytes: 5_000_000,
  kvBytesPerToken: 1_000,
  bandwidthBytesPerSecond: 10 ** 9,
}

/** Each takes three pages of a pretended node. */
export const adapters = ['a', 'b', 'c'].map((letter) => adapterRef(letter, 300))

/** A node that counts pages as a real one does and computes nothing. */
export const createFakeNode = (
  nodeId: string,
  numPages: number,
  onEnd: (running: Running, reason: EndReason) => void,
) => {
  const node = {
    nodeId,
    numPages,
    incarnation: 0,
    numSteps: 0,
    running: new Map<string, Running>(),
    inbox: [] as Order[],
    outbox: [] as Message[],
    /** Messages about an end that get lost on the way: the caller decides. */
    losesEnds: () => false,
  }

  const end = (key: string, reason: EndReason, byPressure = false): void => {
    const running = node.running.get(key)
    if (running === undefined) return
    node.running.delete(key)
    onEnd(running, reason)
    if (node.losesEnds()) return
    const { requestId, attempt } = running.task
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
      if (order?.type === 'evict') end(keyOf(order), 'evicted')
    },
    /** One decode step; `stops` says which requests end by themselves. */
    step: (stops: () => boolean): void => {
      node.numSteps++
      for (const running of node.running.values()) running.numTokens++
      while (pagesUsed(node.running.values()) > numPages) {
        const newest = [...node.running.keys()].at(-1)
        if (newest !== undefined) end(newest, 'evicted', true)
      }
      for (const [key, { task, numTokens }] of [...node.running]) {
        if (numTokens >= task.numPromptTokens + task.maxNewTokens) end(key, 'length')
        else if (stops()) end(key, 'stop')
      }
    },
    /** The process dies with all it had; returns the assignments that will not be answered. */
    restart: (): Message[] => {
      const unanswered = node.inbox.flatMap((order): Message[] => {
        if (order.type !== 'assign') return []
        const { requestId, attempt } = order.task
        return [{ type: 'assignUnanswered', nodeId, requestId, attempt }]
      })
      node.incarnation++
      node.numSteps = 0
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
    pages += Math.ceil((numTokens + 1) / pageSize)
    if (task.adapter !== null) inUse.add(task.adapter.digest)
  }
  return pages + 3 * inUse.size
}

type Facts = Pick<FakeNode, 'nodeId' | 'numPages' | 'incarnation' | 'numSteps' | 'running'>

const toStatus = ({ nodeId, numPages, incarnation, numSteps, running }: Facts): NodeStatus => {
  const tasks = [...running.values()].map(({ task }) => task)
  const { counters } = nodeStatus(nodeId)
  return nodeStatus(nodeId, {
    incarnation: String(incarnation),
    hardware,
    maxBatchSize,
    numPages,
    counters: { ...counters, steps: numSteps },
    freePages: Math.max(0, numPages - pagesUsed(running.values())),
    requests: [...running.values()].map(({ task, numTokens }) => ({
      requestId: task.requestId,
      attempt: task.attempt,
      gatewayId: task.gatewayId,
      tenant: task.tenant,
      adapterDigest: task.adapter?.digest ?? null,
      maxTokens: task.numPromptTokens + task.maxNewTokens,
      // Some say how long they are; of the others it is to be worked out.
      ...(numTokens % 2 === 0 ? { numTokens } : {}),
    })),
    adapters: adapters.map(({ digest, sizeBytes }) => ({
      digest,
      sizeBytes,
      tier: 'host',
      requests: tasks.filter(({ adapter }) => adapter?.digest === digest).length,
    })),
  })
}
