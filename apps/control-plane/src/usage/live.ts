import type { Logger } from '@punica/service'
import type { Database } from '../db/database.ts'
import type { LiveUsage as LiveUsageValue } from '../generated/graphql.ts'
import { Prisma } from '../generated/prisma/client.ts'
import { latest } from '../nodes/latest.ts'

type Value = { liveUsage: LiveUsageValue }

export type LiveUsage = {
  /** Of one tenant, or of all: what it is now, then what it becomes. */
  subscribe(tenantId: string | null): Promise<AsyncIterableIterator<Value>>
  stop(): void
}

const intervalMs = 2_000
/** A look at the usage of very many tenants may take long; this bounds its share of the time. */
const maxShare = 0.05

type Watch = { value: Value; listeners: Set<() => void>; timer: NodeJS.Timeout | null }

/**
 * Looks at what has been counted, now and then and only while somebody is watching: once for all who
 * watch the same tenant.
 */
export const createLiveUsage = ({ db, log }: { db: Database; log: Logger }): LiveUsage => {
  const watches = new Map<string, Watch>()

  const look = async (key: string, tenantId: string | null): Promise<void> => {
    const startMs = Date.now()
    const watch = watches.get(key)
    try {
      const value = await readLive(db, tenantId, watch?.value ?? null)
      if (watch === undefined) return
      const hasChanged = tokensOf(value.liveUsage.day) !== tokensOf(watch.value.liveUsage.day)
      const wasMoving = watch.value.liveUsage.tokensPerSecond > 0
      watch.value = value
      if (hasChanged || wasMoving) for (const listener of watch.listeners) listener()
    } catch (err) {
      log.warn({ err }, 'usage not read')
    }
    if (watch === undefined || watches.get(key) !== watch) return
    const pauseMs = Math.max(intervalMs, (Date.now() - startMs) / maxShare)
    watch.timer = setTimeout(() => void look(key, tenantId), pauseMs)
  }

  const open = async (key: string, tenantId: string | null): Promise<Watch> => {
    const value = await readLive(db, tenantId, null)
    const watch = watches.get(key) ?? { value, listeners: new Set(), timer: null }
    watches.set(key, watch)
    watch.timer ??= setTimeout(() => void look(key, tenantId), intervalMs)
    return watch
  }

  const end = (key: string, { timer }: Watch): void => {
    if (timer !== null) clearTimeout(timer)
    watches.delete(key)
  }

  return {
    subscribe: async (tenantId) => {
      const key = tenantId ?? ''
      const watch = watches.get(key) ?? (await open(key, tenantId))
      return latest(
        () => watch.value,
        (listener) => {
          watch.listeners.add(listener)
          return () => {
            watch.listeners.delete(listener)
            if (watch.listeners.size === 0) end(key, watch)
          }
        },
      )
    },
    stop: () => {
      for (const [key, watch] of watches) end(key, watch)
    },
  }
}

type Sums = { requests: bigint; promptTokens: bigint; generatedTokens: bigint }

const readLive = async (
  db: Database,
  tenantId: string | null,
  before: Value | null,
): Promise<Value> => {
  const at = new Date()
  const hour = await sumSince(db, tenantId, 'hour')
  const day = await sumSince(db, tenantId, 'day')
  const spanMs = before === null ? 0 : at.getTime() - before.liveUsage.at.getTime()
  // A day that has just begun counts from zero.
  const numNew = before === null ? 0 : Math.max(0, tokensOf(day) - tokensOf(before.liveUsage.day))
  const tokensPerSecond = spanMs === 0 ? 0 : (1000 * numNew) / spanMs
  return { liveUsage: { at, hour, day, tokensPerSecond } }
}

const tokensOf = (sums: { promptTokens: number | bigint; generatedTokens: number | bigint }) =>
  Number(sums.promptTokens) + Number(sums.generatedTokens)

const sumSince = async (
  db: Database,
  tenantId: string | null,
  unit: 'hour' | 'day',
): Promise<Sums> => {
  const ofTenant =
    tenantId === null ? Prisma.sql`true` : Prisma.sql`"tenant_id" = ${tenantId}::uuid`
  const [row] = await db.$queryRaw<Sums[]>`
    SELECT coalesce(sum("requests"), 0)::bigint AS "requests",
      coalesce(sum("prompt_tokens"), 0)::bigint AS "promptTokens",
      coalesce(sum("generated_tokens"), 0)::bigint AS "generatedTokens"
    FROM "usage_record" WHERE ${ofTenant} AND "hour" >= date_trunc(${unit}, now(), 'UTC')`
  return row ?? { requests: 0n, promptTokens: 0n, generatedTokens: 0n }
}
