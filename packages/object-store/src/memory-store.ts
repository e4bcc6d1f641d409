import { createMeter, notFound, rechunk } from './content.ts'
import type { ObjectStore } from './object-store.ts'

const CHUNK_BYTES = 64 * 1024

/** An object store within one process, for tests. */
export const memoryObjectStore = (): ObjectStore => {
  const objects = new Map<string, Uint8Array>()
  return {
    async put(source, options) {
      const meter = createMeter(options)
      const chunks: Uint8Array[] = []
      for await (const chunk of rechunk(meter.pass(source), CHUNK_BYTES)) chunks.push(chunk)
      const stored = meter.finish()
      objects.set(stored.digest, Buffer.concat(chunks))
      return stored
    },
    async *get(digest) {
      const data = objects.get(digest)
      if (data === undefined) throw notFound(digest)
      for (let from = 0; from < data.length; from += CHUNK_BYTES) {
        yield data.slice(from, from + CHUNK_BYTES)
      }
    },
    async head(digest) {
      const data = objects.get(digest)
      return data === undefined ? null : { sizeBytes: data.length }
    },
    async delete(digest) {
      objects.delete(digest)
    },
  }
}
