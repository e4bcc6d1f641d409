import { createHash } from 'node:crypto'
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
  const fingerprint = (value: T): string => fingerprintOf(kind.kind.schema.parse(value))
  // A record that does not parse is among the keys only, and so is written anew or removed.
  const written = await readAll(records, fingerprint)
  const stale = new Set([...(await records.keys()), ...written.keys()])
  const different: string[] = []
  const keys = await kind.listKeys(db)
  for (let at = 0; at < keys.length; at += pageSize) {
    const page = await kind.read(db, keys.slice(at, at + pageSize))
    for (const [key, value] of page) {
      stale.delete(key)
      if (written.get(key) !== fingerprint(value)) different.push(key)
    }
  }
  return [...different, ...stale].map((key) => ({ kind: name, key }))
}

/** Of each record only its fingerprint is kept: there may be very many. */
const readAll = async <T>(
  records: Records<T>,
  fingerprint: (value: T) => string,
): Promise<Map<string, string>> => {
  const fingerprints = new Map<string, string>()
  const stop = await records.watch(({ key, value }) => {
    if (value === null) fingerprints.delete(key)
    else fingerprints.set(key, fingerprint(value))
  })
  stop()
  return fingerprints
}

/** A schema puts the fields in its own order, so the same values have the same text. */
const fingerprintOf = (value: unknown): string =>
  createHash('sha256').update(JSON.stringify(value)).digest('base64')
