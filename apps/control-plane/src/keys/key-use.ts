import type { Bus } from '@punica/bus'
import { channels } from '@punica/schema'
import type { Logger } from '@punica/service'
import type { Database } from '../db/database.ts'

export type KeyUse = {
  /** The key was used just now. */
  note(prefix: string): void
  /** Writes what is not written yet. */
  stop(): Promise<void>
}

type Deps = { db: Database; bus: Pick<Bus, 'subscribe'>; log: Logger }

const writeIntervalMs = 5_000
/** Of keys whose use is not written yet; more are noted at their next use. */
const maxWaiting = 10_000

/**
 * Keeps when each key was last used, here and at the gateways, to the minute: a key in constant use
 * costs one write a minute.
 */
export const watchKeyUse = ({ db, bus, log }: Deps): KeyUse => {
  const waiting = new Map<string, number>()
  const note = (prefix: string, atMs: number): void => {
    if (waiting.size >= maxWaiting && !waiting.has(prefix)) return
    waiting.set(prefix, Math.max(atMs, waiting.get(prefix) ?? 0))
  }
  const unsubscribe = bus.subscribe(
    channels.keysUsed,
    ({ prefixes, timeMs }) => {
      // The clock of a gateway may be wrong; ours is the one that the others are compared with.
      const atMs = Math.min(timeMs, Date.now())
      for (const prefix of prefixes) note(prefix, atMs)
    },
    { queue: 'control-plane' },
  )
  const write = async (): Promise<void> => {
    const uses = [...waiting]
    waiting.clear()
    try {
      if (uses.length > 0) await saveUses(db, uses)
    } catch (err) {
      log.warn({ err, keys: uses.length }, 'use of keys not written')
    }
  }
  let current = Promise.resolve()
  const timer = setInterval(() => {
    current = current.then(write)
  }, writeIntervalMs)
  return {
    note: (prefix) => note(prefix, Date.now()),
    stop: async () => {
      unsubscribe()
      clearInterval(timer)
      await current.then(write)
    },
  }
}

const saveUses = async (db: Database, uses: readonly [string, number][]): Promise<void> => {
  const prefixes = uses.map(([prefix]) => prefix)
  const times = uses.map(([, atMs]) => new Date(atMs))
  await db.$executeRaw`
    UPDATE "api_key" SET "last_used_at" = "use"."at"
    FROM unnest(${prefixes}::text[], ${times}::timestamptz[]) AS "use"("prefix", "at")
    WHERE "api_key"."prefix" = "use"."prefix" AND (
      "last_used_at" IS NULL OR "last_used_at" < "use"."at" - interval '1 minute'
    )`
}
