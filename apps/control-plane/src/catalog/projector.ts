import { setTimeout as sleep } from 'node:timers/promises'
import type { Bus, Records } from '@punica/bus'
import type { Logger } from '@punica/service'
import type { Database } from '../db/database.ts'
import { type CatalogKind, type CatalogKindName, catalogKindNames, catalogKinds } from './kinds.ts'
import { findDifferences } from './reconcile.ts'

export type Projector = {
  /**
   * Resolves when what was committed before this call stands in the catalog, or after
   * `settleTimeoutMs` where NATS is away; it will be written then as soon as that is back.
   */
  settle(): Promise<void>
  /** Compares the whole catalog with the database and writes what differs. */
  rebuild(): Promise<void>
  /** Ends when what is under way is done. */
  stop(): Promise<void>
}

type Deps = { db: Database; bus: Pick<Bus, 'records'>; log: Logger }

/** The advisory lock under which records are written; a number of our own. */
const projectorLock = 7_001_001

const batchSize = 200
const pollIntervalMs = 1_000
const rebuildIntervalMs = 60_000
const settleTimeoutMs = 2_000

/**
 * Carries the outbox into the catalog. An entry only names a record: its value is read when it is
 * written, under a lock that lets one control plane write at a time. So whatever the order, the
 * repetitions and the crashes, the last write of a record is of what holds.
 */
export const createProjector = async ({ db, bus, log }: Deps): Promise<Projector> => {
  const write = await openRecords({ db, bus })
  let current: Promise<void> = Promise.resolve()
  let next: Promise<void> | null = null

  const drain = async (): Promise<void> => {
    try {
      while ((await projectBatch(db, write)) === batchSize);
    } catch (err) {
      log.warn({ err }, 'catalog not written')
    }
  }

  /** A pass that begins after this call; callers who wait for the same one share it. */
  const pass = (): Promise<void> => {
    next ??= current.then(() => {
      next = null
      current = drain()
      return current
    })
    return next
  }

  const rebuild = async (): Promise<void> => {
    const differences = await findDifferences(db, bus)
    if (differences.length === 0) return
    await db.outboxEntry.createMany({ data: differences })
    log.info({ records: differences.length }, 'catalog differed')
    await pass()
  }

  // Entries of other control planes, and what could not be written before.
  const poll = setInterval(() => void pass(), pollIntervalMs)
  const check = setInterval(() => {
    rebuild().catch((err: unknown) => log.warn({ err }, 'catalog not compared'))
  }, rebuildIntervalMs)

  return {
    settle: async () => {
      const timeout = new AbortController()
      const late = sleep(settleTimeoutMs, undefined, { signal: timeout.signal }).catch(() => {})
      await Promise.race([pass(), late])
      timeout.abort()
    },
    rebuild,
    stop: async () => {
      clearInterval(poll)
      clearInterval(check)
      await (next ?? current)
    },
  }
}

type WriteRecords = (name: CatalogKindName, keys: string[]) => Promise<void>

/** Opens the records of every kind, and returns what writes the records of given keys. */
const openRecords = async ({ db, bus }: Omit<Deps, 'log'>): Promise<WriteRecords> => {
  const open = async <T>(kind: CatalogKind<T>) => toWriter(db, kind, await bus.records(kind.kind))
  const writers = {
    tenant: await open(catalogKinds.tenant),
    key: await open(catalogKinds.key),
    base: await open(catalogKinds.base),
    adapter: await open(catalogKinds.adapter),
  }
  return (name, keys) => writers[name](keys)
}

const toWriter =
  <T>(db: Database, kind: CatalogKind<T>, records: Records<T>) =>
  async (keys: string[]): Promise<void> => {
    const values = await kind.read(db, keys)
    await Promise.all(
      keys.map(async (key) => {
        const value = values.get(key)
        if (value === undefined) await records.delete(key)
        else await records.put(key, value)
      }),
    )
  }

/** Writes the records that the oldest entries name, forgets the entries, and returns their number. */
const projectBatch = async (db: Database, write: WriteRecords): Promise<number> => {
  if ((await db.outboxEntry.findFirst({ select: { id: true } })) === null) return 0
  return db.$transaction(
    async (tx) => {
      await tx.$executeRaw`SELECT pg_advisory_xact_lock(${projectorLock})`
      const entries = await tx.outboxEntry.findMany({ orderBy: { id: 'asc' }, take: batchSize })
      for (const name of catalogKindNames) {
        const named = entries.filter((entry) => entry.kind === name)
        const keys = [...new Set(named.map((entry) => entry.key))]
        if (keys.length > 0) await write(name, keys)
      }
      await tx.outboxEntry.deleteMany({ where: { id: { in: entries.map(({ id }) => id) } } })
      return entries.length
    },
    { timeout: 60_000 },
  )
}
