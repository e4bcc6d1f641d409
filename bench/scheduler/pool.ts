import type { AdapterRef, NodeStatus } from '@punica/schema'

/** An adapter's copy in the pool of a simulated GPU. */
export type DeviceAdapter = {
  readonly digest: string
  readonly sizeBytes: number
  readonly numPages: number
  /** When its copy from host memory is over. */
  readonly readyMs: number
  numUsers: number
  /** As the newest status named it. */
  reported: NodeStatus['adapters'][number]
  /** The step that has counted it, so that a step counts each adapter once. */
  countedIn: number
}

export type Pool = ReturnType<typeof createPool>

type Options = { numPages: number; pageBytes: number }

/**
 * The slots that KV pages and adapters of one GPU share. As in the engine, an adapter without a
 * user stays until its slots are wanted, the longest unused going first; unlike there, an adapter
 * does not need consecutive slots.
 */
export const createPool = ({ numPages, pageBytes }: Options) => {
  const resident = new Map<string, DeviceAdapter>()
  /** Without users, the longest unused first. */
  const idle = new Map<string, DeviceAdapter>()
  let freePages = numPages
  let idlePages = 0
  let kvPages = 0

  /** Gives up idle adapters until so many pages are free; false, and all are gone, if it cannot. */
  const reclaim = (count: number): boolean => {
    for (const adapter of idle.values()) {
      if (freePages >= count) break
      idle.delete(adapter.digest)
      resident.delete(adapter.digest)
      idlePages -= adapter.numPages
      freePages += adapter.numPages
    }
    return freePages >= count
  }

  const adapterPages = (sizeBytes: number): number => Math.ceil(sizeBytes / pageBytes)

  return {
    numPages,
    pageBytes,
    resident: resident as ReadonlyMap<string, DeviceAdapter>,
    adapterPages,
    get freePages() {
      return freePages
    },
    get kvPages() {
      return kvPages
    },
    /** Taken by adapters that a request uses. */
    get pagesInUse() {
      return numPages - freePages - idlePages
    },
    /** Free, or held by nothing that a request needs. */
    available: (): number => freePages + idlePages,
    takeKvPages: (count: number): boolean => {
      if (!reclaim(count)) return false
      freePages -= count
      kvPages += count
      return true
    },
    freeKvPages: (count: number): void => {
      freePages += count
      kvPages -= count
    },
    hold: (adapter: DeviceAdapter): void => {
      if (adapter.numUsers++ > 0) return
      idle.delete(adapter.digest)
      idlePages -= adapter.numPages
    },
    release: (adapter: DeviceAdapter): void => {
      if (--adapter.numUsers > 0) return
      idle.set(adapter.digest, adapter)
      idlePages += adapter.numPages
    },
    /** Makes room for an adapter and holds it; null where requests hold too much. */
    place: ({ digest, sizeBytes }: AdapterRef, readyMs: number): DeviceAdapter | null => {
      const count = adapterPages(sizeBytes)
      if (!reclaim(count)) return null
      freePages -= count
      const adapter = {
        digest,
        sizeBytes,
        numPages: count,
        readyMs,
        numUsers: 1,
        reported: { digest, tier: 'device' as const, sizeBytes: count * pageBytes, requests: 0 },
        countedIn: -1,
      }
      resident.set(digest, adapter)
      return adapter
    },
  }
}
