import type { Bus, Records } from '@punica/bus'
import { type LeaderRecord, leaderRecords } from '@punica/schema'
import type { Logger } from '@punica/service'

export type LeaseOptions = {
  bus: Pick<Bus, 'records'>
  log: Pick<Logger, 'info' | 'warn'>
  pool: string
  /** This process, as nobody else is called. */
  holder: string
  /** Without a write for this long, the lease is free. */
  leaseMs: number
  /** In milliseconds; never steps back and is never set. */
  clock: () => number
}

/** The time for which this process leads its pool. */
export type Term = {
  /** Greater than that of every earlier leader of the pool. */
  readonly epoch: number
  /**
   * Whether it may act. It may not while it cannot renew the lease, and may again once it has: as
   * long as nobody else has taken the lease, the term goes on.
   */
  isHeld(): boolean
  /** Aborted when another one leads. */
  readonly ended: AbortSignal
  /** Stops leading; the next leader need not wait for the lease to run out. */
  release(): Promise<void>
}

/**
 * Stands by until this process leads; null once the signal is aborted before that.
 *
 * The lease is a record that its holder writes several times in its length, each time on condition
 * that nobody else has. A standby judges by its own clock since the last write that it saw, and the
 * holder by its own since it sent the last write that succeeded, which was earlier: so the holder
 * stops before another may start. No two clocks are compared.
 */
export const campaign = async (
  signal: AbortSignal,
  options: LeaseOptions,
): Promise<Term | null> => {
  const { pool, leaseMs, clock, log } = options
  const store = createStore(options)
  const pollMs = leaseMs / pollsPerLease
  let revision: number | null = null
  let freeMs = 0

  while (!signal.aborted) {
    const askedMs = clock()
    const found = await store.read().catch((err: unknown) => {
      log.warn({ err, pool }, 'lease not read')
      return undefined
    })
    const nowMs = clock()
    // Where NATS has been away, the holder could not write either, and gets the whole time again.
    const wasAway = found === undefined || nowMs - askedMs > leaseMs / renewalsPerLease
    const isSame = found !== undefined && (found?.revision ?? 0) === revision
    if (wasAway || !isSame) freeMs = nowMs + leaseMs
    revision = found === undefined ? null : (found?.revision ?? 0)
    if (found !== undefined && (isVacant(found) || nowMs >= freeMs)) {
      const term = await take(found, store, options)
      if (term !== null) return term
    }
    await pause(Math.max(1, Math.min(pollMs, freeMs - nowMs)), signal)
  }
  return null
}

const renewalsPerLease = 4
const pollsPerLease = 10
/** Of the lease, the part in which its holder acts: two clocks may run a little differently. */
const actingPart = 0.9
/** Between two tries of a holder that could not renew. */
const retryMs = 100

type Found = { value: LeaderRecord; revision: number }

const isVacant = (found: Found | null): boolean => found === null || found.value.holder === null

/** Takes a lease that is free; null: another one was quicker, or the answer did not come. */
const take = async (
  found: Found | null,
  store: Store,
  options: LeaseOptions,
): Promise<Term | null> => {
  const { pool, holder, clock, log } = options
  const sentMs = clock()
  // The record makes it grow whatever the clock says; the clock makes it grow even where the record
  // was lost with the storage of NATS, as nodes refuse an epoch older than the newest they know.
  const epoch = Math.max((found?.value.epoch ?? 0) + 1, Date.now())
  try {
    const revision = await store.write({ holder, epoch }, found?.revision ?? 0)
    if (revision === null) return null
    log.info({ pool, epoch }, 'leading')
    return createTerm({ epoch, revision, sentMs }, store, options)
  } catch (err) {
    log.warn({ err, pool }, 'lease not taken')
    return null
  }
}

const createTerm = (
  first: { epoch: number; revision: number; sentMs: number },
  store: Store,
  { pool, holder, leaseMs, clock, log }: LeaseOptions,
): Term => {
  const { epoch } = first
  const ended = new AbortController()
  const released = new AbortController()
  const over = AbortSignal.any([ended.signal, released.signal])
  const actingMs = leaseMs * actingPart
  let { revision } = first
  let heldUntilMs = first.sentMs + actingMs

  /** Resolves with how long to wait before the next time. */
  const renew = async (): Promise<number> => {
    const sentMs = clock()
    const next = await store.write({ holder, epoch }, revision)
    if (next !== null) {
      revision = next
      heldUntilMs = sentMs + actingMs
      return leaseMs / renewalsPerLease
    }
    // A write of ours may have arrived although its answer did not.
    const found = await store.read()
    if (found?.value.holder === holder && found.value.epoch === epoch) revision = found.revision
    else {
      log.warn({ pool, epoch, successor: found?.value }, 'lease lost')
      ended.abort()
    }
    return 0
  }

  const renewUntilOver = async (): Promise<void> => {
    let waitMs = leaseMs / renewalsPerLease
    while (!over.aborted) {
      await pause(waitMs, over)
      if (over.aborted) return
      waitMs = await renew().catch((err: unknown) => {
        log.warn({ err, pool, epoch }, 'lease not renewed')
        return retryMs
      })
    }
  }
  const renewing = renewUntilOver()

  return {
    epoch,
    isHeld: () => !over.aborted && clock() < heldUntilMs,
    ended: ended.signal,
    release: async () => {
      released.abort()
      await renewing
      if (ended.signal.aborted) return
      await store.write({ holder: null, epoch }, revision).catch((err: unknown) => {
        log.warn({ err, pool, epoch }, 'lease not released')
      })
    },
  }
}

type Store = {
  read(): Promise<Found | null>
  /** Resolves with the new revision; null: the newest is another one than was named. */
  write(record: LeaderRecord, revision: number): Promise<number | null>
}

/** The record of one pool. Its bucket is made anew where NATS has lost it. */
const createStore = ({ bus, pool, leaseMs }: LeaseOptions): Store => {
  let opened: Promise<Records<LeaderRecord>> | null = null

  const use = async <T>(call: (records: Records<LeaderRecord>) => Promise<T>): Promise<T> => {
    opened ??= bus.records(leaderRecords)
    try {
      return await within(opened.then(call), leaseMs / 2)
    } catch (cause) {
      opened = null
      throw cause
    }
  }
  return {
    read: () => use((records) => records.get(pool)),
    write: (record, revision) => use((records) => records.replace(pool, record, revision)),
  }
}

const within = async <T>(call: Promise<T>, timeoutMs: number): Promise<T> => {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs)
  })
  try {
    return await Promise.race([call, late])
  } finally {
    clearTimeout(timer)
  }
}

/** Waits, or returns at once when the signal is aborted. */
const pause = (ms: number, signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) return resolve()
    const done = (): void => {
      clearTimeout(timer)
      signal.removeEventListener('abort', done)
      resolve()
    }
    const timer = setTimeout(done, ms)
    signal.addEventListener('abort', done)
  })
