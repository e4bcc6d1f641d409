import type { RecordKind } from '@punica/schema'
import type { KV } from 'nats'
import type { Records } from './bus.ts'
import { decodeRecord, encodeRecord } from './codec.ts'
import { TIMEOUT_MS } from './nats-bucket.ts'
import { isRevisionOld, toBusError } from './nats-failures.ts'
import type { Link } from './nats-link.ts'
import { scanRecords } from './nats-scan.ts'
import { watchRecords } from './nats-watch.ts'

export const createNatsRecords = <T>(link: Link, kind: RecordKind<T>, kv: KV): Records<T> => {
  const { bucket, prefix, schema } = kind
  const pathOf = (key: string): string => `${prefix}.${key}`

  const attempt = async <R>(call: Promise<R>): Promise<R> => {
    try {
      return await call
    } catch (cause) {
      throw toBusError(cause, bucket, TIMEOUT_MS)
    }
  }

  return {
    async get(key) {
      const entry = await attempt(kv.get(pathOf(key)))
      if (entry === null || entry.operation !== 'PUT') return null
      const decoded = decodeRecord(schema, entry.value)
      if (decoded.ok) return { value: decoded.value, revision: entry.revision }
      link.onProblem({ subject: pathOf(key), kind: 'invalid', error: decoded.error })
      return null
    },
    put: (key, value) => attempt(kv.put(pathOf(key), encodeRecord(value))),
    async replace(key, value, revision) {
      const data = encodeRecord(value)
      try {
        return await (revision === 0
          ? kv.create(pathOf(key), data)
          : kv.update(pathOf(key), data, revision))
      } catch (cause) {
        if (isRevisionOld(cause)) return null
        throw toBusError(cause, bucket, TIMEOUT_MS)
      }
    },
    delete: (key) => attempt(kv.delete(pathOf(key))),
    scan: (handler) => scanRecords(link, kind, handler),
    watch: (handler) => watchRecords(link, kind, handler),
  }
}
