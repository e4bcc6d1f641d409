import type { RecordKind } from '@punica/schema'
import type { Problem, RecordUpdate } from './bus.ts'
import { decodeRecord } from './codec.ts'

/** One entry of a KV bucket; without data it is the mark of a deleted key. */
export type RecordEntry = { key: string; data: Uint8Array | null; revision: number }

export type RecordPicture = {
  /** A snapshot of the bucket begins; `store` differs once its revisions have started anew. */
  begin(store: string): void
  accept(entry: RecordEntry): void
  /** The snapshot is over: what it did not hold is gone. */
  complete(): void
}

type Deps<T> = {
  kind: RecordKind<T>
  onProblem(problem: Problem): void
  handler(update: RecordUpdate<T>): void
}

/**
 * What a watcher has been told so far. It turns repeated snapshots of a bucket, and the changes
 * that follow each, into every change told once.
 */
export const createRecordPicture = <T>({ kind, onProblem, handler }: Deps<T>): RecordPicture => {
  /** Key to revision. */
  const told = new Map<string, number>()
  const seen = new Set<string>()
  let currentStore = ''

  const tell = (update: RecordUpdate<T>): void => {
    try {
      handler(update)
    } catch (error) {
      onProblem({ subject: `${kind.prefix}.${update.key}`, kind: 'handler_failed', error })
    }
  }

  return {
    begin(store) {
      seen.clear()
      if (store !== currentStore) for (const key of told.keys()) told.set(key, -1)
      currentStore = store
    },

    accept({ key, data, revision }) {
      if (data === null) {
        if (told.delete(key)) tell({ key, value: null, revision })
        return
      }
      seen.add(key)
      if (told.get(key) === revision) return
      told.set(key, revision)
      const decoded = decodeRecord(kind.schema, data)
      if (decoded.ok) tell({ key, value: decoded.value, revision })
      else onProblem({ subject: `${kind.prefix}.${key}`, kind: 'invalid', error: decoded.error })
    },

    complete() {
      for (const [key, revision] of told) {
        if (seen.has(key)) continue
        told.delete(key)
        tell({ key, value: null, revision })
      }
      seen.clear()
    },
  }
}
