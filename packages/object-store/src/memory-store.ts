import { createMeter, notFound, rechunk } from './content.ts'
import type { ObjectStore } from './object-store.ts'

const CHUNK_BYTES = 64 * 1024

/** An object store within one process, for tests. */
export const memoryObjectStore = (): ObjectStore => {
  const objects = new Map<string, { data: Uint8Array; storedAtMs: number }>()
  return {
    async put(source, options) {
      const meter = createMeter(options)
      const chunks: Uint8Array[] = []
      for await (const chunk of rechunk(meter.pass(source), CHUNK_BYTES)) chunks.push(chunk)
      const stored = meter.finish()
      const { storedAtMs } = objects.get(stored.digest) ?? { storedAtMs: Date.now() }
      objects.set(stored.digest, { data: Buffer.concat(chunks), storedAtMs })
      return stored
    },
    async *get(digest) {
      const { data } = objects.get(digest) ?? {}
      if (data === undefined) throw notFound(digest)
      for (let from = 0; from < data.length; from += CHUNK_BYTES) {
        yield data.slice(from, from + CHUNK_BYTES)
      }
    },
    async head(digest) {
      const object = objects.get(digest)
      if (object === undefined) return null
      return { sizeBytes: object.data.length, storedAtMs: object.storedAtMs }
    },
    async delete(digest) {
      objects.delete(digest)
    },
    async *list() {
      yield* [...objects.keys()]
    },
    // A put that fails leaves nothing, and one that dies takes the store with it.
    sweep: async () => 0,
  }
}
