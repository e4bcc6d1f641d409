import { setTimeout as sleep } from 'node:timers/promises'
import type { AccountClaims, Bus, Records } from '@punica/bus'
import type { Logger } from '@punica/service'
import type { Database, Transaction } from '../db/database.ts'
import { type CatalogKind, type CatalogKindName, catalogKindNames, catalogKinds } from './kinds.ts'
import { findDifferences, type Rest } from './reconcile.ts'
import { revocationsDiffer, revocationsKey, writeRevocations } from './revocations.ts'

/** What an entry of the outbox may be about. */
export type OutboxKind = CatalogKindName | 'revocations'

export type Projector = {
  /**
   * Resolves when what was committed before this call stands in the catalog, or after
   * `settleTimeoutMs` where NATS is away; it will be written then as soon as that is back.
   */
  settle(): Promise<void>
  /** Compares the whole catalog with the database and writes what differs; returns how much did. */
  rebuild(): Promise<number>
  /** Ends when what is under way is done. */
  stop(): Promise<void>
}

type Deps = {
  db: Database
  bus: Pick<Bus, 'records'>
  /** null: NATS credentials cannot be revoked here. */
  accountClaims: AccountClaims | null
  log: Logger
}

/** The advisory locks under which is written what NATS shall know; numbers of our own. */
const catalogLock = 7_001_001
const revocationsLock = 7_001_002

const batchSize = 200
const pollIntervalMs = 1_000
const rebuildIntervalMs = 60_000
/**
 * To compare a very large catalog takes long. While it is compared, this much of the time is worked
 * and the rest is left to requests; and this much of all time is such a while.
 */
const workShare = 0.1
const compareShare = 0.5
/** Well below the time in which the server forgets who reads the records. */
const maxRestMs = 10_000
const settleTimeoutMs = 2_000

/**
 * Carries the outbox into the catalog. An entry only names a record: its value is read when it is
 * written, under a lock that lets one control plane write at a time. So whatever the order, the
 * repetitions and the crashes, the last write of a record is of what holds.
 */
export const createProjector = async (deps: Deps): Promise<Projector> => {
  const { db, bus, accountClaims, log } = deps
  const write = await openRecords(deps)
  let current: Promise<void> = Promise.resolve()
  let next: Promise<void> | null = null

  /** Each apart: where the one cannot be written, the other still is. */
  const drain = async (): Promise<void> => {
    try {
      while ((await projectBatch(db, write)) === batchSize);
    } catch (err) {
      log.warn({ err }, 'catalog not written')
    }
    try {
      if (accountClaims !== null) await projectRevocations(db, accountClaims)
    } catch (err) {
      log.warn({ err }, 'revocations not written')
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

  const rebuild = async (rest?: Rest): Promise<number> => {
    const differences: { kind: OutboxKind; key: string }[] = await findDifferences(db, bus, rest)
    if (accountClaims !== null && (await revocationsDiffer(db, accountClaims))) {
      differences.push({ kind: 'revocations', key: revocationsKey })
    }
    if (differences.length === 0) return 0
    await db.outboxEntry.createMany({ data: differences })
    log.info({ records: differences.length }, 'catalog differed')
    await pass()
    return differences.length
  }

  // Entries of other control planes, and what could not be written before.
  const poll = setInterval(() => void pass(), pollIntervalMs)
  const stopped = new AbortController()
  const restForRequests: Rest = async (workedMs) => {
    const restMs = Math.min(workedMs * (1 / workShare - 1), maxRestMs)
    await sleep(restMs, undefined, { signal: stopped.signal })
  }
  const check = async (): Promise<void> => {
    const startMs = Date.now()
    await rebuild(restForRequests).catch((err: unknown) => {
      if (!stopped.signal.aborted) log.warn({ err }, 'catalog not compared')
    })
    if (stopped.signal.aborted) return
    const pauseMs = Math.max(rebuildIntervalMs, (Date.now() - startMs) / compareShare)
    nextCheck = setTimeout(startCheck, pauseMs)
  }
  let checking: Promise<void> = Promise.resolve()
  const startCheck = (): void => {
    checking = check()
  }
  let nextCheck = setTimeout(startCheck, rebuildIntervalMs)

  return {
    settle: async () => {
      const timeout = new AbortController()
      const late = sleep(settleTimeoutMs, undefined, { signal: timeout.signal }).catch(() => {})
      await Promise.race([pass(), late])
      timeout.abort()
    },
    rebuild: () => rebuild(),
    stop: async () => {
      clearInterval(poll)
      stopped.abort()
      clearTimeout(nextCheck)
      await checking
      await (next ?? current)
    },
  }
}

type WriteRecords = (name: CatalogKindName, keys: string[]) => Promise<void>

/** Opens the records of every kind, and returns what writes the records of given keys. */
const openRecords = async ({ db, bus }: Pick<Deps, 'db' | 'bus'>): Promise<WriteRecords> => {
  const open = async <T>(kind: CatalogKind<T>) => toWriter(db, kind, await bus.records(kind.kind))
  const writers = {
    tenant: await open(catalogKinds.tenant),
    key: await open(catalogKinds.key),
    base: await open(catalogKinds.base),
    adapter: await open(catalogKinds.adapter),
    pool: await open(catalogKinds.pool),
    node: await open(catalogKinds.node),
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

const ofCatalog = { kind: { not: 'revocations' } }
const ofRevocations = { kind: 'revocations' }

const locked = <T>(db: Database, lock: number, work: (tx: Transaction) => Promise<T>): Promise<T> =>
  db.$transaction(
    async (tx) => {
      await tx.$executeRaw`SELECT pg_advisory_xact_lock(${lock})`
      return work(tx)
    },
    { timeout: 60_000 },
  )

/** Writes the records that the newest entries name, forgets the entries, and returns their number. */
const projectBatch = async (db: Database, write: WriteRecords): Promise<number> => {
  const oldest = { where: ofCatalog, select: { id: true } }
  if ((await db.outboxEntry.findFirst(oldest)) === null) return 0
  return locked(db, catalogLock, async (tx) => {
    // The newest first: a change does not wait behind a catalog that is written anew.
    const page = { where: ofCatalog, orderBy: { id: 'desc' }, take: batchSize } as const
    const entries = await tx.outboxEntry.findMany(page)
    for (const name of catalogKindNames) {
      const named = entries.filter((entry) => entry.kind === name)
      const keys = [...new Set(named.map((entry) => entry.key))]
      if (keys.length > 0) await write(name, keys)
    }
    await tx.outboxEntry.deleteMany({ where: { id: { in: entries.map(({ id }) => id) } } })
    return entries.length
  })
}

/** Tells NATS which credentials to refuse, where an entry says that this has changed. */
const projectRevocations = async (db: Database, claims: AccountClaims): Promise<void> => {
  const oldest = { where: ofRevocations, select: { id: true } }
  if ((await db.outboxEntry.findFirst(oldest)) === null) return
  await locked(db, revocationsLock, async (tx) => {
    const entries = await tx.outboxEntry.findMany({ where: ofRevocations })
    await writeRevocations(db, claims)
    await tx.outboxEntry.deleteMany({ where: { id: { in: entries.map(({ id }) => id) } } })
  })
}
