import { createHash } from 'node:crypto'
import type { Bus } from '@punica/bus'
import type { Database } from '../db/database.ts'
import { type CatalogKind, type CatalogKindName, catalogKinds } from './kinds.ts'

export type Difference = { kind: CatalogKindName; key: string }

/** Records that are compared at once: these many take a few milliseconds. */
const pageSize = 50

/** Waits between two pages; it is told how long the one before took. */
export type Rest = (workedMs: number) => Promise<void>

/**
 * Records that the catalog lacks, that it has otherwise, and that it has though they are gone. There
 * may be very many, so it goes page by page and rests in between.
 */
export const findDifferences = async (
  db: Database,
  bus: Pick<Bus, 'records'>,
  rest: Rest = () => Promise.resolve(),
): Promise<Difference[]> => [
  ...(await compare(db, bus, rest, 'tenant', catalogKinds.tenant)),
  ...(await compare(db, bus, rest, 'key', catalogKinds.key)),
  ...(await compare(db, bus, rest, 'base', catalogKinds.base)),
  ...(await compare(db, bus, rest, 'adapter', catalogKinds.adapter)),
  ...(await compare(db, bus, rest, 'pool', catalogKinds.pool)),
  ...(await compare(db, bus, rest, 'node', catalogKinds.node)),
]

const compare = async <T>(
  db: Database,
  bus: Pick<Bus, 'records'>,
  rest: Rest,
  name: CatalogKindName,
  kind: CatalogKind<T>,
): Promise<Difference[]> => {
  /** Of each record only its fingerprint is kept; null where it does not parse. */
  const written = new Map<string, string | null>()
  let startMs = performance.now()
  const restAfterPage = async (): Promise<void> => {
    await rest(performance.now() - startMs)
    startMs = performance.now()
  }
  await (await bus.records(kind.kind)).scan(async (page) => {
    for (const { key, value } of page) {
      written.set(key, value === null ? null : fingerprintOf(value))
    }
    await restAfterPage()
  })

  const stale = new Set(written.keys())
  const different: string[] = []
  const keys = await kind.listKeys(db)
  for (let at = 0; at < keys.length; at += pageSize) {
    const page = await kind.read(db, keys.slice(at, at + pageSize))
    for (const [key, value] of page) {
      stale.delete(key)
      if (written.get(key) !== fingerprintOf(kind.kind.schema.parse(value))) different.push(key)
    }
    await restAfterPage()
  }
  return [...different, ...stale].map((key) => ({ kind: name, key }))
}

/** A schema puts the fields in its own order, so the same values have the same text. */
const fingerprintOf = (value: unknown): string =>
  createHash('sha256').update(JSON.stringify(value)).digest('base64')
