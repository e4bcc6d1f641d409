import type { NatsConnection } from 'nats'
import { natsObjectStore } from './nats-store.ts'
import type { ObjectStore } from './object-store.ts'

export type OpenStore = ObjectStore & { close(): Promise<void> }

/**
 * The object store that a URL names (`s3://bucket/prefix`, see s3-store.ts), or, without one, that
 * of NATS, on a connection of its own: bulk data must not hold up any message.
 */
export const openObjectStore = async (
  url: string | undefined,
  connect: () => Promise<NatsConnection>,
): Promise<OpenStore> => {
  if (url !== undefined) {
    // Loaded by those that use it alone: the SDK takes tens of megabytes.
    const { s3ObjectStore } = await import('./s3-store.ts')
    const store = s3ObjectStore(url)
    return { ...store, close: async () => store.close() }
  }
  const connection = await connect()
  // A drain would wait for a server that is away, maybe for ever.
  return { ...(await natsObjectStore(connection)), close: () => connection.close() }
}
