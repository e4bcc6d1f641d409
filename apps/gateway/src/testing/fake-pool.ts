import type { Bus } from '@punica/bus'
import {
  channels,
  type ReplayReply,
  type SubmitReply,
  type Task,
  type TokenBatch,
  type WireError,
} from '@punica/schema'

/** A router and nodes that do as a test says. */
export type FakePool = {
  /** The next task that is submitted, in order; waits for it. */
  nextTask(): Promise<Task>
  /** Whether one has been submitted that was not taken yet. */
  hasTask(): boolean
  /** The next request that is cancelled; waits for it. */
  nextCancel(): Promise<string>
  /** Answers submissions from now on; null: as a router that is away. */
  answer(reply: ((task: Task) => SubmitReply) | null): void
  interrupt(task: Task): void
  reject(task: Task, error: WireError): void
  /** A router leads from now on, and all that the pool says later is said by it. */
  lead(epoch: number): void
  /** What follows is said by a router of this epoch, who does not announce itself. */
  speakAs(epoch: number): void
  /** The one with this id. */
  node(nodeId: string): FakeNode
}

type TokenEntry = TokenBatch['tokens'][number]
type EndEntry = TokenBatch['ends'][number]

type FakeNode = {
  /** Sends one batch: tokens of a task from an index on, and maybe its end. */
  send(...parts: Part[]): void
  /** Makes a batch that is lost on its way. */
  drop(...parts: Part[]): void
  heartbeat(): void
  /** What was sent cannot be replayed any more. */
  forget(): void
  /** A new process under the same id. */
  restart(): void
}

type Part =
  | { task: Task; tokens: readonly number[]; from: number; logprobs?: TokenEntry['logprobs'] }
  | { task: Task; end: EndEntry['reason']; numTokens: number; error?: WireError }

export const createFakePool = (bus: Bus, gatewayId: string, pool = 'default'): FakePool => {
  const tasks = createMailbox<Task>()
  const cancels = createMailbox<string>()
  const nodes = new Map<string, FakeNode>()
  let epoch = 1
  let reply: (task: Task) => SubmitReply = () => ({ type: 'queued' })

  const serve = () =>
    bus.serve(channels.submit(pool), (task) => {
      tasks.put(task)
      return reply(task)
    })
  let stop = serve()
  bus.subscribe(channels.cancel(pool), ({ requestId }) => cancels.put(requestId))
  const events = channels.gatewayEvents(gatewayId)

  return {
    nextTask: tasks.take,
    hasTask: () => tasks.size() > 0,
    nextCancel: cancels.take,
    answer: (next) => {
      stop()
      if (next === null) return
      reply = next
      stop = serve()
    },
    interrupt: ({ requestId, attempt }) =>
      bus.publish(events, { type: 'interrupted', epoch, requestId, attempt }),
    reject: ({ requestId, attempt }, error) =>
      bus.publish(events, { type: 'rejected', epoch, requestId, attempt, error }),
    lead: (next) => {
      epoch = next
      bus.publish(channels.leader(pool), { epoch })
    },
    speakAs: (other) => {
      epoch = other
    },
    node: (nodeId) => {
      const node = nodes.get(nodeId) ?? createFakeNode(bus, gatewayId, nodeId)
      nodes.set(nodeId, node)
      return node
    },
  }
}

const createFakeNode = (bus: Bus, gatewayId: string, nodeId: string): FakeNode => {
  let incarnation = 1
  let sent: TokenBatch[] = []
  let seq = 0

  const make = (parts: readonly Part[]): TokenBatch => {
    const batch: TokenBatch = {
      nodeId,
      incarnation: String(incarnation),
      seq: ++seq,
      batchSize: 1,
      numAdapters: 1,
      tokens: parts.flatMap(toTokens),
      ends: parts.flatMap(toEnds),
    }
    sent.push(batch)
    return batch
  }

  bus.serve(channels.replay(nodeId), ({ fromSeq, toSeq }): ReplayReply => {
    const batches = sent.filter((batch) => batch.seq >= fromSeq && batch.seq <= toSeq)
    return batches.length === 0 ? { type: 'gone' } : { type: 'batches', batches }
  })
  return {
    send: (...parts) => bus.publish(channels.tokens(gatewayId), make(parts)),
    drop: (...parts) => void make(parts),
    heartbeat: () =>
      bus.publish(channels.tokens(gatewayId), {
        nodeId,
        incarnation: String(incarnation),
        seq,
        batchSize: 0,
        numAdapters: 0,
        tokens: [],
        ends: [],
      }),
    forget: () => {
      sent = []
    },
    restart: () => {
      incarnation++
      seq = 0
      sent = []
    },
  }
}

const toTokens = (part: Part): TokenEntry[] =>
  'tokens' in part
    ? part.tokens.map((token, i) => ({
        requestId: part.task.requestId,
        attempt: part.task.attempt,
        index: part.from + i,
        token,
        ...(part.logprobs === undefined ? {} : { logprobs: part.logprobs }),
      }))
    : []

const toEnds = (part: Part): EndEntry[] =>
  'end' in part
    ? [
        {
          requestId: part.task.requestId,
          attempt: part.task.attempt,
          reason: part.end,
          numTokens: part.numTokens,
          ...(part.error === undefined ? {} : { error: part.error }),
        },
      ]
    : []

/** Values in order, for whoever waits for the next. */
export const createMailbox = <T>(): {
  put(value: T): void
  take(): Promise<T>
  size(): number
} => {
  const values: T[] = []
  const takers: ((value: T) => void)[] = []
  return {
    size: () => values.length,
    put: (value) => {
      const taker = takers.shift()
      if (taker === undefined) values.push(value)
      else taker(value)
    },
    take: () => {
      const value = values.shift()
      return value === undefined
        ? new Promise((resolve) => takers.push(resolve))
        : Promise.resolve(value)
    },
  }
}
