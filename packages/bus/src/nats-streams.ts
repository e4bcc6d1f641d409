import { AppError } from '@punica/schema'
import { DiscardPolicy, nanos } from 'nats'
import type { Stop, StreamReader } from './bus.ts'
import { isAlreadyThere, isStreamMissing, toBusError } from './nats-failures.ts'
import { followStream } from './nats-follow.ts'
import type { Link } from './nats-link.ts'
import { type StreamDefinition, streamOf, streams } from './streams.ts'

const STORE_TIMEOUT_MS = 5000

export type NatsStreams = {
  store(subject: string, data: Uint8Array, id: string): Promise<void>
  follow<T>(reader: StreamReader<T>): Promise<Stop>
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

    follow: (reader) => {
      const definition = streams.find(({ name }) => name === reader.stream)
      if (definition === undefined) {
        throw new AppError('not_found', `There is no stream ${reader.stream}`)
      }
      return followStream(link, { definition, reader, ensure: () => ensure(definition) })
    },
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
