import { type AdapterHandle, type Engine, EngineError } from '@punica/native-sgmv'
import { type AdapterRef, AppError } from '@punica/schema'
import type { DiskCache } from './disk-cache.ts'

/** An adapter that the engine has in host memory. */
type Loaded = { readonly handle: AdapterHandle; numHolders: number }

export type Adapters = {
  /** The handle if the engine has it already; it is held until `release`. */
  tryAcquire(digest: string): AdapterHandle | null
  /**
   * Fetches and loads it where needed; held until `release`. Rejects with AppError or EngineError,
   * and then nothing is held.
   */
  acquire(adapter: AdapterRef): Promise<AdapterHandle>
  release(digest: string): void
  /** Loaded adapters, the least recently used first. */
  list(): { digest: string; handle: AdapterHandle; numHolders: number }[]
}

type Deps = {
  engine: Pick<Engine, 'loadAdapter' | 'unloadAdapter'>
  disk: Pick<DiskCache, 'withFolder' | 'remove'>
}

/**
 * From digest to engine handle. An adapter that nobody holds stays loaded until its memory is
 * needed; one that is held is never unloaded. Loading runs beside the engine's steps.
 */
export const createAdapters = ({ engine, disk }: Deps): Adapters => {
  /** Ordered by last use, the oldest first. */
  const loaded = new Map<string, Loaded>()
  const loading = new Map<string, Promise<Loaded>>()

  const hold = (digest: string, entry: Loaded): AdapterHandle => {
    entry.numHolders++
    loaded.delete(digest)
    loaded.set(digest, entry)
    return entry.handle
  }

  /** Makes room in host memory; false where everything is held. */
  const unloadOldest = (): boolean => {
    for (const [digest, { handle, numHolders }] of loaded) {
      if (numHolders > 0) continue
      loaded.delete(digest)
      engine.unloadAdapter(handle)
      return true
    }
    return false
  }

  const loadFolder = async (folder: string): Promise<AdapterHandle> => {
    for (;;) {
      try {
        return await engine.loadAdapter(folder)
      } catch (cause) {
        if (!isEngineError(cause, 'adapter_memory_full')) throw cause
        if (!unloadOldest()) throw allHeld(cause)
      }
    }
  }

  const load = async (adapter: AdapterRef): Promise<Loaded> => {
    const { digest } = adapter
    try {
      const handle = await disk.withFolder(adapter, loadFolder)
      const entry: Loaded = { handle, numHolders: 0 }
      loaded.set(digest, entry)
      return entry
    } catch (cause) {
      if (isEngineError(cause, 'adapter_invalid')) await disk.remove(digest)
      throw cause
    } finally {
      loading.delete(digest)
    }
  }

  return {
    tryAcquire: (digest) => {
      const entry = loaded.get(digest)
      return entry === undefined ? null : hold(digest, entry)
    },
    acquire: async (adapter) => {
      const { digest } = adapter
      // Again where it was unloaded for another adapter before this call could hold it.
      for (;;) {
        const entry = loaded.get(digest)
        if (entry !== undefined) return hold(digest, entry)
        const promise = loading.get(digest) ?? load(adapter)
        loading.set(digest, promise)
        await promise
      }
    },
    release: (digest) => {
      const entry = loaded.get(digest)
      if (entry !== undefined) entry.numHolders--
    },
    list: () =>
      [...loaded].map(([digest, { handle, numHolders }]) => ({ digest, handle, numHolders })),
  }
}

const isEngineError = (cause: unknown, code: EngineError['code']): boolean =>
  cause instanceof EngineError && cause.code === code

const allHeld = (cause: unknown): AppError =>
  new AppError('overloaded', "The node's memory for adapters is full of adapters in use", {
    cause,
    retryAfterMs: 1_000,
  })
