import { AppError, type Channel, limits, type RecordKind } from '@punica/schema'
import { createInbox, type NatsConnection } from 'nats'
import type { Bus, Delivery, Problem, Records, Stop, SubscribeOptions } from './bus.ts'
import { decode, encode, tooLarge } from './codec.ts'
import { cancelled } from './failures.ts'
import { openBucket } from './nats-bucket.ts'
import { type BusLog, connectNats, type NatsOptions, readIdentity } from './nats-connection.ts'
import { toBusError } from './nats-failures.ts'
import { headersOf, traceparentOf } from './nats-headers.ts'
import { createLink, type Link, pause } from './nats-link.ts'
import { createNatsRecords } from './nats-records.ts'
import { createSender } from './nats-sender.ts'
import { createNatsStreams } from './nats-streams.ts'
import { isInbox } from './subjects.ts'

export type BusOptions = NatsOptions & {
  /** Told of messages that no handler got, or that made one throw; by default they are logged. */
  onProblem?: (problem: Problem) => void
}

/** Connects to NATS; see `connectNats` for the life of the connection. */
export const connectBus = async (options: BusOptions): Promise<Bus> => {
  const identity = await readIdentity(options)
  const connection = await connectNats({ ...options, ...identity, credentialsFile: undefined })
  const log = options.log ?? silent
  const onProblem =
    options.onProblem ??
    (({ subject, kind, error }) => log.warn({ subject, kind, err: error }, 'message not handled'))
  return natsBus(await createLink({ connection, log, onProblem }), identity.inboxPrefix)
}

/** Status of the empty message by which the server says that nobody listens. */
const NO_RESPONDERS = 503

const silent: BusLog = { info: () => {}, warn: () => {} }

const natsBus = (link: Link, inboxPrefix: string): Bus => {
  const { connection } = link
  const send = createSender(link)
  const streams = createNatsStreams(link)

  const inbox = (): string => createInbox(inboxPrefix)
  const seal = (message: unknown): Uint8Array => encode(message, maxPayload(connection))

  const bus: Bus = {
    inbox,
    publish: ({ subject }, message, options) => send(subject, seal(message), options),
    reply(replyTo, _schema, message) {
      if (isInbox(replyTo)) send(replyTo, seal(message))
    },
    subscribe: ({ subject, schema }, handler, options = {}) =>
      listen(link, subject, schema, options, handler),
    serve: ({ subject, request, reply }, handler, options = {}) =>
      listen(link, subject, request, options, async (message, delivery) =>
        bus.reply(delivery.replyTo, reply, await handler(message, delivery)),
      ),
    request: async ({ subject, reply }, message, { timeoutMs, signal, traceparent }) => {
      const data = seal(message)
      if (signal?.aborted) throw cancelled()
      try {
        const answer = await orAborted(
          connection.request(subject, data, { timeout: timeoutMs, ...headersOf(traceparent) }),
          signal,
        )
        const decoded = decode(reply, answer.data)
        if (decoded.ok) return decoded.value
        link.onProblem({ subject: answer.subject, kind: 'invalid', error: decoded.error })
        throw decoded.error
      } catch (cause) {
        throw toBusError(cause, subject, timeoutMs)
      }
    },
    records: async <T>(kind: RecordKind<T>): Promise<Records<T>> =>
      createNatsRecords(link, kind, await openBucket(link, kind.bucket)),
    store: async ({ subject }, message, { id }) => streams.store(subject, seal(message), id),
    follow: async (reader) => streams.follow(reader),
    flush: () => flush(connection),
    close: () => link.close(),
  }
  return bus
}

/** How long a flush waits: a server that is away confirms nothing, perhaps for ever. */
const FLUSH_MS = 5000

const flush = async (connection: NatsConnection): Promise<void> => {
  const done = new AbortController()
  const late = pause(FLUSH_MS, done.signal).then(() => {
    if (done.signal.aborted) return
    throw new AppError('unavailable', `NATS did not confirm a flush within ${FLUSH_MS} ms`)
  })
  const confirmed = connection.flush().catch((cause) => {
    throw toBusError(cause, 'flush', 0)
  })
  try {
    await Promise.race([confirmed, late])
  } finally {
    done.abort()
  }
}

/** The handler runs inside the reader of the socket, so nothing may be thrown out of it. */
const listen = <T>(
  { connection, onProblem }: Link,
  pattern: string,
  schema: Channel<T>['schema'],
  { queue, onNoResponders, maxBytes, onOversized }: SubscribeOptions,
  handler: (message: T, delivery: Delivery) => void | Promise<void>,
): Stop => {
  const subscription = connection.subscribe(pattern, {
    ...(queue === undefined ? {} : { queue }),
    callback(refused, { subject = pattern, reply, data, headers }) {
      const report = (kind: Problem['kind'], error: unknown): void =>
        onProblem({ subject, kind, error })
      if (refused !== null) return report('refused', refused)
      if (headers?.code === NO_RESPONDERS && data.length === 0) return onNoResponders?.()
      const delivery = { subject, replyTo: reply ?? '', traceparent: traceparentOf(headers) }
      if (maxBytes !== undefined && data.length > maxBytes) {
        report('oversized', tooLarge(data.length, maxBytes))
        return onOversized?.(delivery)
      }
      const decoded = decode(schema, data)
      if (!decoded.ok) return report('invalid', decoded.error)
      try {
        handler(decoded.value, delivery)?.catch((error) => report('handler_failed', error))
      } catch (error) {
        report('handler_failed', error)
      }
    },
  })
  return () => {
    if (!subscription.isClosed()) subscription.unsubscribe()
  }
}

const maxPayload = ({ info }: NatsConnection): number =>
  Math.min(info?.max_payload ?? limits.messageBytes, limits.messageBytes)

const orAborted = <T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> => {
  if (signal === undefined) return promise
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(cancelled())
    signal.addEventListener('abort', abort)
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort))
  })
}

const PROBE_MS = 1000

/** Whether what is published now reaches the server; it answers within about a second. */
export const isReachable = async (bus: Pick<Bus, 'flush'>): Promise<boolean> => {
  const done = new AbortController()
  const late = pause(PROBE_MS, done.signal).then(() => false)
  const reached = bus.flush().then(
    () => true,
    () => false,
  )
  const answer = await Promise.race([reached, late])
  done.abort()
  return answer
}
