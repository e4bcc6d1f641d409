import type { UsageEvent } from '@punica/schema'
import type { Logger } from '@punica/service'
import type { Database } from '../db/database.ts'

type Deps = { db: Database; log: Pick<Logger, 'error'> }

const hourMs = 3600_000
/** Far beyond any request and any clock, and within what the columns hold. */
const maxIndex = 2 ** 31 - 1
const maxTimeMs = Date.UTC(9999, 0)

/**
 * Adds a usage event to the hour of its tenant and adapter. It is one statement: an event that is
 * counted already, which the stream may deliver again, adds nothing, and one whose count fails is
 * not taken for counted. The usage of a tenant that is not known adds to nobody.
 */
export const countUsage = async ({ db, log }: Deps, event: UsageEvent): Promise<void> => {
  if (!isPlausible(event)) {
    log.error({ event }, 'usage event dropped')
    return
  }
  const hour = new Date(event.timeMs - (event.timeMs % hourMs))
  await db.$executeRaw`
    WITH "counted" AS (
      INSERT INTO "counted_usage" ("request_id", "from_index")
      VALUES (${event.requestId}, ${event.fromIndex})
      ON CONFLICT DO NOTHING
      RETURNING 1
    )
    INSERT INTO "usage_record" AS "record"
      ("tenant_id", "adapter_digest", "hour", "requests", "prompt_tokens", "generated_tokens")
    SELECT "tenant"."id", ${event.adapterDigest ?? ''}, ${hour}::timestamptz,
      ${event.fromIndex === 0 ? 1 : 0}::bigint, ${event.promptTokens}::bigint,
      ${event.toIndex - event.fromIndex}::bigint
    FROM "counted", "tenant" WHERE "tenant"."slug" = ${event.tenant}
    ON CONFLICT ("tenant_id", "adapter_digest", "hour") DO UPDATE SET
      "requests" = "record"."requests" + excluded."requests",
      "prompt_tokens" = "record"."prompt_tokens" + excluded."prompt_tokens",
      "generated_tokens" = "record"."generated_tokens" + excluded."generated_tokens"`
}

/** What cannot be counted must not hold up what comes after it in the stream. */
const isPlausible = ({ fromIndex, toIndex, timeMs }: UsageEvent): boolean =>
  fromIndex <= toIndex && toIndex <= maxIndex && timeMs <= maxTimeMs

/** Longer than the stream keeps an event. */
const keepCountedMs = 35 * 24 * hourMs

/** Forgets which events are counted once the stream cannot deliver them again. */
export const forgetCounted = async (db: Database): Promise<void> => {
  const countedAt = { lt: new Date(Date.now() - keepCountedMs) }
  await db.countedUsage.deleteMany({ where: { countedAt } })
}
