import type { Channel, RecordKind, RequestChannel } from '@punica/schema'

export type Stop = () => void

export type SubscribeOptions = {
  /** Members of one queue share the messages; without it, every subscriber receives each. */
  queue?: string
  /** On an inbox: told when nobody listens on the subject that the question was published to. */
  onNoResponders?: () => void
  /** Larger messages are not even parsed: they are reported as `oversized`, and this is told. */
  maxBytes?: number
  onOversized?: (delivery: Delivery) => void
}

/** What a handler is told beside the message. */
export type Delivery = {
  /** The subject it came on; it differs from the channel's where that has wildcards. */
  subject: string
  /** Where the sender wants answers; empty when it wants none. */
  replyTo: string
  /** W3C Trace Context of the sender; absent where it traces nothing or sent nonsense. */
  traceparent?: string | undefined
}

export type RequestOptions = {
  timeoutMs: number
  signal?: AbortSignal
  /** Travels as the header of that name. */
  traceparent?: string | undefined
}

/** One state of a record: its value, or null when it has been deleted. */
export type RecordUpdate<T> = { key: string; value: T | null; revision: number }

/** The newest state of a key; null where it does not parse. */
export type ScannedRecord<T> = { key: string; value: T | null }

/** Records of one kind in a KV bucket, keyed below the kind's prefix. */
export type Records<T> = {
  get(key: string): Promise<{ value: T; revision: number } | null>
  put(key: string, value: T): Promise<number>
  /**
   * Writes only where the newest state of the key has this revision (0: where there is none), and
   * resolves with the new revision, or with null where another writer was there first.
   */
  replace(key: string, value: T, revision: number): Promise<number | null>
  delete(key: string): Promise<void>
  /**
   * Hands over the records that there are, in pages, each after the handler has resolved for the one
   * before. Changes meanwhile may or may not be among them.
   */
  scan(handler: (page: ScannedRecord<T>[]) => Promise<void>): Promise<void>
  /**
   * Hands over every record and then each change, in order; resolves once the records that existed
   * have been handed over. After a reconnect it goes on from where it was.
   */
  watch(handler: (update: RecordUpdate<T>) => void): Promise<Stop>
}

export type PublishOptions = {
  /** Where answers shall go: a subject of `inbox()`, which the sender has subscribed to. */
  replyTo?: string
  /** Travels as the header of that name. */
  traceparent?: string | undefined
}

/** A place in a stream: behind message `seq` of the stream that was made at `created`. */
export type StreamPosition = { created: string; seq: number }

/** A message of a stream, its number there, and when the stream took it. */
export type StreamMessage<T> = { subject: string; seq: number; timeMs: number; value: T }

/**
 * Reads a stream and remembers by itself how far it is, so that it can do so in one transaction with
 * what it makes of the messages.
 */
export type StreamReader<T> = {
  stream: string
  schema: Channel<T>['schema']
  /** Where to go on; null: at the first message that is kept. */
  position(): Promise<StreamPosition | null>
  /**
   * Takes the next messages, in order and at least one call for each; `position` is behind them.
   * After a rejection the reading begins anew at `position()`.
   */
  handle(messages: readonly StreamMessage<T>[], position: StreamPosition): Promise<void>
}

/** A message that reached no handler, or made one throw. */
export type Problem = {
  subject: string
  /** `refused`: the server does not let this credential publish or listen there. */
  kind: 'invalid' | 'oversized' | 'handler_failed' | 'refused'
  error: unknown
}

/**
 * What the programs need of NATS. Messages are JSON, checked against their channel's schema when
 * they arrive; one that does not parse is reported through `onProblem` and dropped, so a malformed
 * message reaches no handler. The memory bus checks them when they are sent, too, and throws: tests
 * see the wrong sender, and the path of every token is spared a second look.
 *
 * Delivery is at most once, in order per sender. What is published while the connection is down, or
 * while more than a bound of bytes waits for the server, is dropped: each protocol above repairs
 * gaps by its own numbers. `request` and `store` are the calls that know whether they arrived.
 */
export type Bus = {
  /** Throws AppError `payload_too_large` above the server's limit, `unavailable` after `close`. */
  publish<T>(channel: Channel<T>, message: T, options?: PublishOptions): void
  /**
   * Publishes to a subject that a received message named. Only inboxes are answered: a subject that
   * a caller chose must not borrow this program's permissions.
   */
  reply<T>(replyTo: string, schema: Channel<T>['schema'], message: T): void
  /** A new subject that this connection alone may read, for a channel of answers. */
  inbox(): string
  /** Handlers run in the order of arrival, one message at a time, and must not block. */
  subscribe<T>(
    channel: Channel<T>,
    handler: (message: T, delivery: Delivery) => void,
    options?: SubscribeOptions,
  ): Stop
  /**
   * Asks and waits for the one answer. Rejects with AppError `unavailable` when nobody listens, no
   * answer came in time or it did not parse, `payload_too_large` when the message exceeds the
   * server's limit, `forbidden` when the credential may not ask, `cancelled` by the signal.
   */
  request<Q, A>(channel: RequestChannel<Q, A>, message: Q, options: RequestOptions): Promise<A>
  /** Answers requests. A handler that throws leaves the asker to its time-out; the error is reported. */
  serve<Q, A>(
    channel: RequestChannel<Q, A>,
    handler: (message: Q, delivery: Delivery) => A | Promise<A>,
    options?: SubscribeOptions,
  ): Stop
  records<T>(kind: RecordKind<T>): Promise<Records<T>>
  /** Publishes to a JetStream stream and waits until it is stored; a repeated `id` is stored once. */
  store<T>(channel: Channel<T>, message: T, options: { id: string }): Promise<void>
  /** Follows a stream from its reader's position. A message that does not parse is passed over. */
  follow<T>(reader: StreamReader<T>): Promise<Stop>
  /**
   * Resolves when everything published before has reached the server; rejects with AppError
   * `unavailable` when that takes longer than a few seconds, as it does while the server is away.
   */
  flush(): Promise<void>
  /** Delivers what is under way, then closes. */
  close(): Promise<void>
}
