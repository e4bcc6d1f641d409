import type { NodeStatus, Task } from '@punica/schema'
import { createEngine, type EngineListener, type EngineOptions } from './engine.ts'
import type { EventQueue } from './event-queue.ts'
import { createHostAdapters } from './host-adapters.ts'
import { type Client, createSequence, type End, type Sequence } from './sequence.ts'
import { nodeHardware } from './step-time.ts'

/** Changes within this time share one status, as in apps/gpu-node. */
const statusDelayMs = 10

export type NodeListener = Pick<EngineListener, 'onFirstToken' | 'onTokenGaps'> & {
  onEnd(nodeId: string, end: End): void
  onStatus(status: NodeStatus): void
  /** The number of requests that it has was `before` until now. */
  onWorkingSet(node: SimulatedNode, before: number): void
}

type Deps = { queue: EventQueue; options: EngineOptions; listener: NodeListener }
type Entry = { sequence: Sequence; isInEngine: boolean; numReceivedBefore: number }

export type SimulatedNode = ReturnType<typeof createSimulatedNode>

/** A gpu-node: adapters into memory, requests into the engine, statuses out. */
export const createSimulatedNode = (nodeId: string, { queue, options, listener }: Deps) => {
  const { stepTime, maxBatchSize, pageSize } = options
  const host = createHostAdapters(queue, stepTime)
  const entries = new Map<string, Entry>()
  let isStatusDue = false
  const engine = createEngine({
    queue,
    options,
    listener: {
      ...listener,
      onEnd: (end) => leave(end),
    },
  })
  const fixed = {
    nodeId,
    pool: 'default',
    incarnation: 'first',
    state: 'ready' as const,
    baseModel: 'llama-2-7b',
    hardware: nodeHardware(stepTime),
    maxBatchSize,
    maxContext: 4_096,
    pageSize,
    pageBytes: engine.pool.pageBytes,
    numPages: engine.pool.numPages,
  }

  const statusSoon = (): void => {
    if (isStatusDue) return
    isStatusDue = true
    queue.at(queue.nowMs + statusDelayMs, () => {
      isStatusDue = false
      listener.onStatus(status())
    })
  }

  const leave = (end: End): void => {
    entries.delete(keyOf(end.task))
    listener.onWorkingSet(node, entries.size + 1)
    listener.onEnd(nodeId, end)
    statusSoon()
  }

  const enter = (task: Task, client: Client): void => {
    const sequence = createSequence(task, client)
    const entry = { sequence, isInEngine: false, numReceivedBefore: client.numReceived }
    entries.set(keyOf(task), entry)
    listener.onWorkingSet(node, entries.size - 1)
    const submit = (): void => {
      if (entries.get(keyOf(task)) !== entry) return
      entry.isInEngine = true
      engine.submit(sequence)
    }
    if (task.adapter === null) submit()
    else host.acquire(task.adapter, submit)
  }

  const status = (): NodeStatus => {
    engine.settle()
    const { pool } = engine
    const { users, freePages } = countUse()
    const adapters: NodeStatus['adapters'] = []
    for (const adapter of pool.resident.values()) {
      const requests = users.get(adapter.digest) ?? 0
      // There are hundreds, and from one status to the next few change.
      if (adapter.reported.requests !== requests) {
        adapter.reported = { ...adapter.reported, requests }
      }
      adapters.push(adapter.reported)
    }
    return {
      ...fixed,
      timeMs: Math.floor(queue.nowMs),
      freePages,
      kvPages: pool.kvPages,
      adapterPages: pool.numPages - pool.freePages - pool.kvPages,
      requests: Array.from(entries.values(), toReported),
      adapters,
      counters: engine.counters(),
    }
  }

  /** As apps/gpu-node counts them: whoever has not begun here counts in full. */
  const countUse = (): { users: ReadonlyMap<string, number>; freePages: number } => {
    const { pool } = engine
    const users = new Map<string, number>()
    let running = 0
    let waiting = 0
    let adapterPages = 0
    for (const { sequence, numReceivedBefore } of entries.values()) {
      const numPages = engine.pagesFor(sequence.numTokens + 1)
      if (sequence.client.numReceived > numReceivedBefore) running += numPages
      else waiting += numPages
      const { adapter } = sequence.task
      if (adapter === null) continue
      const numUsers = users.get(adapter.digest) ?? 0
      if (numUsers === 0) adapterPages += pool.adapterPages(adapter.sizeBytes)
      users.set(adapter.digest, numUsers + 1)
    }
    const taken = Math.min(running, pool.kvPages) + waiting + adapterPages
    return { users, freePages: Math.max(0, pool.numPages - taken) }
  }

  const node = {
    nodeId,
    engine,
    status,
    get numRequests() {
      return entries.size
    },
    assign: (task: Task, client: Client): void => {
      if (!entries.has(keyOf(task))) enter(task, client)
      statusSoon()
    },
    stop: (id: { requestId: string; attempt: number }, reason: 'cancelled' | 'evicted'): void => {
      const entry = entries.get(keyOf(id))
      if (entry === undefined) return
      if (entry.isInEngine) engine.stop(entry.sequence, reason)
      else leave({ task: entry.sequence.task, reason, byPressure: false })
    },
  }
  return node
}

const keyOf = ({ requestId, attempt }: { requestId: string; attempt: number }): string =>
  `${attempt}:${requestId}`

const toReported = ({ sequence }: Entry): NodeStatus['requests'][number] => {
  const { requestId, attempt, gatewayId, tenant, adapter, numPromptTokens, maxNewTokens } =
    sequence.task
  return {
    requestId,
    attempt,
    gatewayId,
    tenant,
    adapterDigest: adapter?.digest ?? null,
    numTokens: sequence.numTokens,
    maxTokens: numPromptTokens + maxNewTokens,
  }
}
