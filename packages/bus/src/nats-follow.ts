import type { Channel } from '@punica/schema'
import { AckPolicy, DeliverPolicy, type JsMsg, nanos } from 'nats'
import type { Stop, StreamMessage, StreamReader } from './bus.ts'
import { decode } from './codec.ts'
import { type Link, pause } from './nats-link.ts'
import type { StreamDefinition } from './streams.ts'

const RETRY_MS = 1000
/** Messages that the server sends ahead, and that one call of the handler gets at most. */
const PREFETCH = 256
/** The server forgets a reader that has gone after this time. */
const INACTIVE_MS = 60_000

type Follow<T> = {
  definition: StreamDefinition
  reader: StreamReader<T>
  /** Makes the stream where there is none. */
  ensure: () => Promise<void>
}

/**
 * Hands a stream over in batches, from the position that the reader keeps. Whatever goes wrong (the
 * server is away, a message was lost on its way, the handler rejects), it begins anew at the
 * position that holds by then, so the server need not know what has been handled.
 */
export const followStream = async <T>(link: Link, follow: Follow<T>): Promise<Stop> => {
  const { definition } = follow
  const stopped = new AbortController()
  const signal = AbortSignal.any([stopped.signal, link.closing])

  const followUntilStopped = async (): Promise<void> => {
    while (!signal.aborted) {
      try {
        await readOn(link, follow, signal)
      } catch (err) {
        if (signal.aborted) return
        link.log.warn({ err, stream: definition.name }, 'stream interrupted')
        await pause(RETRY_MS, signal)
      }
    }
  }

  await follow.ensure()
  link.track(followUntilStopped())
  return () => stopped.abort()
}

/** Reads from the reader's position until told to stop or something is amiss. */
const readOn = async <T>(
  link: Link,
  { definition, reader, ensure }: Follow<T>,
  signal: AbortSignal,
): Promise<void> => {
  const { jsm, js } = link
  const stream = definition.name
  await ensure()
  const { created } = await jsm.streams.info(stream)
  const position = await reader.position()
  // A position of a stream that was lost says nothing of the one that took its place.
  const after = position?.created === created ? position.seq : 0
  const { name } = await jsm.consumers.add(stream, {
    ack_policy: AckPolicy.None,
    deliver_policy: DeliverPolicy.StartSequence,
    opt_start_seq: after + 1,
    inactive_threshold: nanos(INACTIVE_MS),
    mem_storage: true,
  })
  const consumer = await js.consumers.get(stream, name)
  const messages = await consumer.consume({
    max_messages: PREFETCH,
    abort_on_missing_resource: true,
  })
  const close = (): void => void messages.close()
  signal.addEventListener('abort', close)
  if (signal.aborted) close()
  let batch: JsMsg[] = []
  let numDelivered = 0
  try {
    for await (const message of messages) {
      if (signal.aborted) return
      if (message.info.deliverySequence !== ++numDelivered) throw new Error('a message was lost')
      batch.push(message)
      if (message.info.pending > 0 && batch.length < PREFETCH) continue
      const values = batch.flatMap(open(link, reader.schema))
      batch = []
      await reader.handle(values, { created, seq: message.seq }).catch((error: unknown) => {
        link.onProblem({ subject: message.subject, kind: 'handler_failed', error })
        throw error
      })
    }
    if (!signal.aborted) throw new Error('the server ended the reading')
  } finally {
    signal.removeEventListener('abort', close)
    close()
  }
}

/** What does not parse is reported and passed over. */
const open =
  <T>({ onProblem }: Link, schema: Channel<T>['schema']) =>
  ({ subject, seq, data, info }: JsMsg): StreamMessage<T>[] => {
    const decoded = decode(schema, data)
    if (decoded.ok) {
      const timeMs = Math.floor(info.timestampNanos / 1_000_000)
      return [{ subject, seq, timeMs, value: decoded.value }]
    }
    onProblem({ subject, kind: 'invalid', error: decoded.error })
    return []
  }
