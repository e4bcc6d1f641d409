import { isDeepStrictEqual } from 'node:util'
import type { Bus, Records } from '@punica/bus'
import type { Database } from '../db/database.ts'
import { type CatalogKind, type CatalogKindName, catalogKinds } from './kinds.ts'

export type Difference = { kind: CatalogKindName; key: string }

const pageSize = 500

/** Records that the catalog lacks, that it has otherwise, and that it has though they are gone. */
export const findDifferences = async (
  db: Database,
  bus: Pick<Bus, 'records'>,
): Promise<Difference[]> => [
  ...(await compare(db, bus, 'tenant', catalogKinds.tenant)),
  ...(await compare(db, bus, 'key', catalogKinds.key)),
  ...(await compare(db, bus, 'base', catalogKinds.base)),
  ...(await compare(db, bus, 'adapter', catalogKinds.adapter)),
  ...(await compare(db, bus, 'pool', catalogKinds.pool)),
  ...(await compare(db, bus, 'node', catalogKinds.node)),
]

const compare = async <T>(
  db: Database,
  bus: Pick<Bus, 'records'>,
  name: CatalogKindName,
  kind: CatalogKind<T>,
): Promise<Difference[]> => {
  const records = await bus.records(kind.kind)
  // A record that does not parse is among the keys only, and so is written anew or removed.
  const written = await readAll(records)
  const stale = new Set([...(await records.keys()), ...written.keys()])
  const different: string[] = []
  const keys = await kind.listKeys(db)
  for (let at = 0; at < keys.length; at += pageSize) {
    const page = await kind.read(db, keys.slice(at, at + pageSize))
    for (const [key, value] of page) {
      stale.delete(key)
      if (!isDeepStrictEqual(written.get(key), value)) different.push(key)
    }
  }
  return [...different, ...stale].map((key) => ({ kind: name, key }))
}

const readAll = async <T>(records: Records<T>): Promise<Map<string, T>> => {
  const values = new Map<string, T>()
  const stop = await records.watch(({ key, value }) => {
    if (value === null) values.delete(key)
    else values.set(key, value)
  })
  stop()
  return values
}
