import type { Channel, RecordKind } from '@punica/schema'
import type { Bus, Problem, Records } from './bus.ts'
import { decode, encode } from './codec.ts'
import { cancelled, closed, noAnswer, noResponders } from './failures.ts'
import { createMemoryBucket, createMemoryRecords, type MemoryBucket } from './memory-records.ts'
import { createMemoryServer } from './memory-server.ts'
import { createMemoryStreams } from './memory-streams.ts'
import { isInbox } from './subjects.ts'

export type MemoryBusOptions = { onProblem?: (problem: Problem) => void }

/** The bus within one process, for tests: one object stands for the server and all connections. */
export const memoryBus = ({ onProblem = () => {} }: MemoryBusOptions = {}): Bus => {
  const server = createMemoryServer(onProblem)
  const streams = createMemoryStreams(onProblem)
  const buckets = new Map<string, MemoryBucket>()
  let numInboxes = 0
  let isClosed = false

  const inbox = (): string => `_INBOX.memory.${numInboxes++}`

  /** A message that its channel does not allow is the mistake of the test: it throws. */
  const seal = <T>(schema: Channel<T>['schema'], subject: string, message: T): Uint8Array => {
    if (isClosed) throw closed()
    const data = encode(message)
    const decoded = decode(schema, data)
    if (!decoded.ok) throw new Error(`wrong message for ${subject}`, { cause: decoded.error })
    return data
  }

  const bus: Bus = {
    inbox,
    publish: ({ subject, schema }, message, options) =>
      void server.send(subject, seal(schema, subject, message), options),
    reply(replyTo, schema, message) {
      if (isInbox(replyTo)) server.send(replyTo, seal(schema, replyTo, message))
    },
    subscribe: ({ subject, schema }, handler, options = {}) =>
      server.listen(subject, schema, options, handler),
    serve: ({ subject, request, reply }, handler, options = {}) =>
      server.listen(subject, request, options, async (message, delivery) =>
        bus.reply(delivery.replyTo, reply, await handler(message, delivery)),
      ),
    request: ({ subject, request, reply }, message, { timeoutMs, signal, traceparent }) =>
      new Promise((resolve, reject) => {
        const data = seal(request, subject, message)
        const replyTo = inbox()
        const end = (settle: () => void): void => {
          stop()
          clearTimeout(timer)
          signal?.removeEventListener('abort', abort)
          settle()
        }
        const stop = server.listen(replyTo, reply, {}, (a) => end(() => resolve(a)))
        const abort = (): void => end(() => reject(cancelled()))
        const timer = setTimeout(() => end(() => reject(noAnswer(subject, timeoutMs))), timeoutMs)
        signal?.addEventListener('abort', abort)
        if (signal?.aborted) abort()
        else if (!server.send(subject, data, { replyTo, traceparent }))
          end(() => reject(noResponders(subject)))
      }),
    async records<T>(kind: RecordKind<T>): Promise<Records<T>> {
      const bucket = buckets.get(kind.bucket) ?? createMemoryBucket()
      buckets.set(kind.bucket, bucket)
      return createMemoryRecords(kind, bucket, onProblem)
    },
    store: async ({ subject, schema }, message, { id }) =>
      streams.store(subject, seal(schema, subject, message), id),
    follow: async (reader) => streams.follow(reader),
    flush: () => new Promise((resolve) => setImmediate(resolve)),
    async close() {
      await bus.flush()
      isClosed = true
      server.clear()
      streams.close()
    },
  }
  return bus
}
