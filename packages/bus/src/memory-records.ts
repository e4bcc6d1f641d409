import type { RecordKind } from '@punica/schema'
import type { Problem, Records, RecordUpdate, ScannedRecord } from './bus.ts'
import { decodeRecord, encodeRecord } from './codec.ts'

type Entry = { data: Uint8Array | null; revision: number }

/** What a KV bucket holds: the newest entry of each key, and who is told of changes. */
export type MemoryBucket = {
  entries: Map<string, Entry>
  watchers: Set<(path: string, entry: Entry) => void>
  revision: number
}

export const createMemoryBucket = (): MemoryBucket => ({
  entries: new Map(),
  watchers: new Set(),
  revision: 0,
})

export const createMemoryRecords = <T>(
  { prefix, schema }: RecordKind<T>,
  bucket: MemoryBucket,
  onProblem: (problem: Problem) => void,
): Records<T> => {
  const pathOf = (key: string): string => `${prefix}.${key}`

  const change = (key: string, data: Uint8Array | null): number => {
    const entry = { data, revision: ++bucket.revision }
    // A changed key moves to the end, so that a later watcher sees the order of the changes.
    bucket.entries.delete(pathOf(key))
    bucket.entries.set(pathOf(key), entry)
    for (const watcher of bucket.watchers) watcher(pathOf(key), entry)
    return entry.revision
  }

  const toUpdate = (path: string, { data, revision }: Entry): RecordUpdate<T> | null => {
    const key = path.slice(prefix.length + 1)
    if (data === null) return { key, value: null, revision }
    const decoded = decodeRecord(schema, data)
    if (decoded.ok) return { key, value: decoded.value, revision }
    onProblem({ subject: path, kind: 'invalid', error: decoded.error })
    return null
  }

  return {
    async get(key) {
      const entry = bucket.entries.get(pathOf(key))
      const update = entry === undefined ? null : toUpdate(pathOf(key), entry)
      return update === null || update.value === null
        ? null
        : { value: update.value, revision: update.revision }
    },
    put: async (key, value) => change(key, encodeRecord(schema.parse(value))),
    async replace(key, value, revision) {
      const newest = bucket.entries.get(pathOf(key))
      const current = newest === undefined || newest.data === null ? 0 : newest.revision
      return current === revision ? change(key, encodeRecord(schema.parse(value))) : null
    },
    delete: async (key) => void change(key, null),
    async scan(handler) {
      const page: ScannedRecord<T>[] = []
      for (const [path, { data }] of bucket.entries) {
        if (!path.startsWith(`${prefix}.`) || data === null) continue
        const decoded = decodeRecord(schema, data)
        const value = decoded.ok ? decoded.value : null
        page.push({ key: path.slice(prefix.length + 1), value })
      }
      if (page.length > 0) await handler(page)
    },
    async watch(handler) {
      const watcher = (path: string, entry: Entry): void => {
        if (!path.startsWith(`${prefix}.`)) return
        const update = toUpdate(path, entry)
        if (update === null) return
        queueMicrotask(() => {
          if (bucket.watchers.has(watcher)) handler(update)
        })
      }
      bucket.watchers.add(watcher)
      for (const [path, entry] of bucket.entries) if (entry.data !== null) watcher(path, entry)
      // One turn later than the last of them.
      await new Promise<void>((resolve) => queueMicrotask(resolve))
      return () => void bucket.watchers.delete(watcher)
    },
  }
}
