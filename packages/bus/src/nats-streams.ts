import { AppError, type Channel } from '@punica/schema'
import { AckPolicy, DiscardPolicy, type JsMsg, nanos } from 'nats'
import type { Stop } from './bus.ts'
import { decode } from './codec.ts'
import { isAlreadyThere, isStreamMissing, toBusError } from './nats-failures.ts'
import { type Link, pause } from './nats-link.ts'
import { type StreamDefinition, streamOf, streams } from './streams.ts'

/** A message that is not acknowledged in this time is delivered again. */
const ACK_WAIT_MS = 30_000
const RETRY_MS = 1000
/** Messages that a consumer may hold before it has acknowledged them. */
const PREFETCH = 64
const STORE_TIMEOUT_MS = 5000

export type NatsStreams = {
  store(subject: string, data: Uint8Array, id: string): Promise<void>
  consume<T>(
    options: { stream: string; durable: string; schema: Channel<T>['schema'] },
    handler: (message: T) => Promise<void>,
  ): Promise<Stop>
}

/** Streams are made when they are first used, so that no program must be started before another. */
export const createNatsStreams = (link: Link): NatsStreams => {
  const ensured = new Map<string, Promise<void>>()

  const ensure = (definition: StreamDefinition): Promise<void> => {
    const { name } = definition
    const known = ensured.get(name) ?? ensureStream(link, definition)
    ensured.set(name, known)
    known.catch(() => ensured.delete(name))
    return known
  }

  return {
    async store(subject, data, id) {
      const definition = streamOf(subject)
      if (definition === null) throw new AppError('unavailable', `No stream keeps ${subject}`)
      try {
        await ensure(definition)
        await link.js.publish(subject, data, { msgID: id, timeout: STORE_TIMEOUT_MS })
      } catch (cause) {
        // The stream may have been lost with the server's storage; the next call makes it again.
        ensured.delete(definition.name)
        throw toBusError(cause, subject, STORE_TIMEOUT_MS)
      }
    },

    async consume({ stream, durable, schema }, handler) {
      const definition = streams.find(({ name }) => name === stream)
      if (definition === undefined) throw new AppError('not_found', `There is no stream ${stream}`)
      const stopped = new AbortController()
      const signal = AbortSignal.any([stopped.signal, link.closing])

      const prepare = async (): Promise<void> => {
        try {
          await ensure(definition)
          await link.jsm.consumers.add(stream, {
            durable_name: durable,
            ack_policy: AckPolicy.Explicit,
            ack_wait: nanos(ACK_WAIT_MS),
            max_ack_pending: PREFETCH,
          })
        } catch (cause) {
          ensured.delete(stream)
          throw toBusError(cause, stream, STORE_TIMEOUT_MS)
        }
      }

      /** A consumer that was lost, with its stream or by an operator's hand, is made anew. */
      const consumeUntilStopped = async (): Promise<void> => {
        while (!signal.aborted) {
          try {
            await prepare()
            await read(link, { stream, durable, signal }, (message) =>
              settle(link, message, schema, handler),
            )
          } catch (err) {
            link.log.warn({ err, stream, durable }, 'consumer interrupted')
            await pause(RETRY_MS, signal)
          }
        }
      }

      await prepare()
      link.track(consumeUntilStopped())
      return () => stopped.abort()
    },
  }
}

/** Hands over one message at a time until told to stop. */
const read = async (
  { js }: Link,
  { stream, durable, signal }: { stream: string; durable: string; signal: AbortSignal },
  handle: (message: JsMsg) => Promise<void>,
): Promise<void> => {
  const consumer = await js.consumers.get(stream, durable)
  const messages = await consumer.consume({
    max_messages: PREFETCH,
    abort_on_missing_resource: true,
  })
  const close = (): void => void messages.close()
  signal.addEventListener('abort', close)
  if (signal.aborted) close()
  try {
    // The iteration ends after what was fetched before it was told to close; others may have that.
    for await (const message of messages) {
      if (signal.aborted) message.nak()
      else await handle(message)
    }
  } finally {
    signal.removeEventListener('abort', close)
    close()
  }
}

const settle = async <T>(
  { onProblem }: Link,
  message: JsMsg,
  schema: Channel<T>['schema'],
  handler: (message: T) => Promise<void>,
): Promise<void> => {
  const { subject } = message
  const decoded = decode(schema, message.data)
  if (!decoded.ok) {
    onProblem({ subject, kind: 'invalid', error: decoded.error })
    message.term()
    return
  }
  try {
    await handler(decoded.value)
    message.ack()
  } catch (error) {
    onProblem({ subject, kind: 'handler_failed', error })
    message.nak(RETRY_MS)
  }
}

const ensureStream = async (
  { jsm }: Link,
  { name, subjects, maxAgeMs, maxBytes, dedupWindowMs }: StreamDefinition,
): Promise<void> => {
  try {
    await jsm.streams.info(name)
  } catch (cause) {
    if (!isStreamMissing(cause)) throw cause
    const config = {
      name,
      subjects: [...subjects],
      max_age: nanos(maxAgeMs),
      max_bytes: maxBytes,
      duplicate_window: nanos(dedupWindowMs),
      discard: DiscardPolicy.Old,
    }
    // Another program may have made it just now.
    await jsm.streams.add(config).catch((cause) => {
      if (!isAlreadyThere(cause)) throw cause
    })
  }
}
