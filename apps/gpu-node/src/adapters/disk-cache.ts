import { randomUUID } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { mkdir, readdir, rename, rm, stat, utimes } from 'node:fs/promises'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { type AdapterFile, type AdapterRef, AppError, Digest } from '@punica/schema'

/** Where adapters come from; it checks the digest of what it hands over. */
type Source = { get(digest: string): AsyncIterable<Uint8Array> }

export type DiskCache = {
  /**
   * Calls `work` with the adapter's folder, which is fetched first where it is missing and stays
   * while `work` runs. Rejects with AppError `unavailable` when it cannot be fetched, `overloaded`
   * when the folders in use leave no room for it, or as `work` does.
   */
  withFolder<T>(adapter: AdapterRef, work: (folder: string) => Promise<T>): Promise<T>
  /** Forgets an adapter that turned out to be unusable; one in use stays until it is not. */
  remove(digest: string): Promise<void>
  list(): { digest: string; sizeBytes: number }[]
}

type Entry = {
  readonly digest: string
  readonly sizeBytes: number
  /** Resolves when the files are in place. */
  ready: Promise<void>
  numUsers: number
}

type Options = { folder: string; maxBytes: number; source: Source }

/**
 * Keeps adapters on disk by digest, at most `maxBytes` of them, the least recently used going
 * first. A folder appears under its digest only when it is complete, so what a crash leaves behind
 * is never taken for an adapter. One process owns the folder.
 */
export const openDiskCache = async ({ folder, maxBytes, source }: Options): Promise<DiskCache> => {
  await mkdir(folder, { recursive: true })
  /** Ordered by last use, the oldest first. */
  const entries = new Map<string, Entry>()
  for (const { digest, sizeBytes } of await readFolders(folder)) {
    entries.set(digest, { digest, sizeBytes, ready: Promise.resolve(), numUsers: 0 })
  }
  const removals = new Map<string, Promise<void>>()

  const drop = (digest: string): Promise<void> => {
    entries.delete(digest)
    const removal = rm(join(folder, digest), { recursive: true, force: true })
    removals.set(digest, removal)
    return removal.finally(() => removals.delete(digest))
  }

  const makeRoom = async (): Promise<void> => {
    const numBytes = () => [...entries.values()].reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
    for (const { digest, numUsers } of [...entries.values()]) {
      if (numBytes() <= maxBytes) return
      if (numUsers === 0) await drop(digest)
    }
    if (numBytes() > maxBytes) throw noRoom(maxBytes)
  }

  const fetchFolder = async ({ digest, files }: AdapterRef): Promise<void> => {
    const partial = join(folder, `${partialPrefix}${randomUUID()}`)
    try {
      await makeRoom()
      await removals.get(digest)
      await mkdir(partial)
      for (const file of files) await fetchFile(source, file, join(partial, file.name))
      await rename(partial, join(folder, digest))
    } catch (cause) {
      await rm(partial, { recursive: true, force: true })
      entries.delete(digest)
      throw toFetchError(digest, cause)
    }
  }

  /** An entry counts before its bytes are there, so that two fetches do not share one room. */
  const open = (adapter: AdapterRef): Entry => {
    const { digest, files } = adapter
    const known = entries.get(digest)
    if (known !== undefined) {
      entries.delete(digest)
      entries.set(digest, known)
      known.numUsers++
      return known
    }
    const sizeBytes = files.reduce((sum, file) => sum + file.sizeBytes, 0)
    const entry: Entry = { digest, sizeBytes, ready: Promise.resolve(), numUsers: 1 }
    entries.set(digest, entry)
    entry.ready = fetchFolder(adapter)
    return entry
  }

  return {
    withFolder: async (adapter, work) => {
      const entry = open(adapter)
      try {
        await entry.ready
        const path = join(folder, entry.digest)
        // The order of use outlives the process. Without it the cache still works.
        await utimes(path, new Date(), new Date()).catch(() => {})
        return await work(path)
      } finally {
        entry.numUsers--
      }
    },
    remove: async (digest) => {
      if (entries.get(digest)?.numUsers === 0) await drop(digest)
    },
    list: () => [...entries.values()].map(({ digest, sizeBytes }) => ({ digest, sizeBytes })),
  }
}

const partialPrefix = '.partial-'

/** What an earlier process left: its adapters, oldest use first. Its unfinished fetches go. */
const readFolders = async (folder: string): Promise<{ digest: string; sizeBytes: number }[]> => {
  const found: { digest: string; sizeBytes: number; usedMs: number }[] = []
  for (const name of await readdir(folder)) {
    const path = join(folder, name)
    if (name.startsWith(partialPrefix)) await rm(path, { recursive: true, force: true })
    if (!Digest.safeParse(name).success) continue
    let sizeBytes = 0
    for (const file of await readdir(path)) sizeBytes += (await stat(join(path, file))).size
    found.push({ digest: name, sizeBytes, usedMs: (await stat(path)).mtimeMs })
  }
  return found.sort((a, b) => a.usedMs - b.usedMs)
}

/** Neither more nor fewer bytes than the catalog promised: the room was made for those. */
const fetchFile = async (source: Source, file: AdapterFile, path: string): Promise<void> => {
  let numBytes = 0
  const counted = async function* () {
    for await (const chunk of source.get(file.digest)) {
      numBytes += chunk.byteLength
      if (numBytes > file.sizeBytes) throw new Error(`${file.name} is larger than announced`)
      yield chunk
    }
  }
  await pipeline(counted, createWriteStream(path))
  if (numBytes < file.sizeBytes) throw new Error(`${file.name} is shorter than announced`)
}

const noRoom = (maxBytes: number): AppError =>
  new AppError(
    'overloaded',
    `The adapter does not fit the node's disk cache of ${maxBytes} bytes beside those in use`,
    { retryAfterMs: 1_000 },
  )

const toFetchError = (digest: string, cause: unknown): AppError =>
  cause instanceof AppError && cause.code === 'overloaded'
    ? cause
    : new AppError('unavailable', `Adapter ${digest.slice(0, 12)} could not be fetched`, { cause })
