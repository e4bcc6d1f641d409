import type { AdapterRef } from '@punica/schema'
import type { EventQueue } from './event-queue.ts'
import type { StepTime } from './step-time.ts'

type Options = Pick<StepTime, 'storeBytesPerSecond' | 'storeLatencyMs' | 'hostAdapterBytes'>

/**
 * The adapters in a node's host memory, and the way there from the object store: one after another,
 * since they share the node's network. The disk between the two is left out.
 */
export const createHostAdapters = (queue: EventQueue, options: Options) => {
  /** The longest unused first. */
  const loaded = new Map<string, number>()
  const loading = new Map<string, (() => void)[]>()
  let loadedBytes = 0
  let networkFreeMs = 0

  const arrive = ({ digest, sizeBytes }: AdapterRef): void => {
    for (const [oldest, bytes] of loaded) {
      if (loadedBytes + sizeBytes <= options.hostAdapterBytes) break
      loaded.delete(oldest)
      loadedBytes -= bytes
    }
    loaded.set(digest, sizeBytes)
    loadedBytes += sizeBytes
    const waiters = loading.get(digest) ?? []
    loading.delete(digest)
    for (const waiter of waiters) waiter()
  }

  const fetch = (adapter: AdapterRef, then: () => void): void => {
    loading.set(adapter.digest, [then])
    const transferMs = (1e3 * adapter.sizeBytes) / options.storeBytesPerSecond
    networkFreeMs = Math.max(networkFreeMs, queue.nowMs + options.storeLatencyMs) + transferMs
    queue.at(networkFreeMs, () => arrive(adapter))
  }

  return {
    /** Calls `then` once the adapter is in host memory: at once where it is. */
    acquire: (adapter: AdapterRef, then: () => void): void => {
      const sizeBytes = loaded.get(adapter.digest)
      const waiters = loading.get(adapter.digest)
      if (sizeBytes !== undefined) {
        loaded.delete(adapter.digest)
        loaded.set(adapter.digest, sizeBytes)
        then()
      } else if (waiters !== undefined) waiters.push(then)
      else fetch(adapter, then)
    },
  }
}
