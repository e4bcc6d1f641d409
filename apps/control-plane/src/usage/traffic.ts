import type { Database } from '../db/database.ts'

type Recent = {
  recentRequests: bigint
  recentPromptTokens: bigint
  recentGeneratedTokens: bigint
}

export const toTraffic = (row: Recent) => ({
  requests: row.recentRequests,
  promptTokens: row.recentPromptTokens,
  generatedTokens: row.recentGeneratedTokens,
})

/** The advisory lock under which it is summed up; a number of our own. */
const trafficLock = 7_001_003

/**
 * Sums up the last 24 hours of usage of every tenant and adapter, so that lists can be ordered by it,
 * and writes where it has changed. Where another control plane is at it this one leaves it be.
 */
export const sumTraffic = (db: Database): Promise<void> =>
  db.$transaction(
    async (tx) => {
      const [lock] = await tx.$queryRaw<{ taken: boolean }[]>`
        SELECT pg_try_advisory_xact_lock(${trafficLock}) AS "taken"`
      if (lock?.taken !== true) return
      // On one core, in its own time: nobody waits for it, but for the others' queries somebody does.
      await tx.$executeRaw`SET LOCAL max_parallel_workers_per_gather = 0`
      await tx.$executeRaw`
        WITH "sum" AS (
          SELECT "tenant_id" AS "id", sum("requests")::bigint AS "requests",
            sum("prompt_tokens")::bigint AS "prompt", sum("generated_tokens")::bigint AS "generated"
          FROM "usage_record" WHERE "hour" > now() - interval '24 hours' GROUP BY "tenant_id"
        ), "new" AS (
          SELECT "id", coalesce("requests", 0) AS "requests", coalesce("prompt", 0) AS "prompt",
            coalesce("generated", 0) AS "generated"
          FROM "tenant" LEFT JOIN "sum" USING ("id")
        )
        UPDATE "tenant" SET "recent_requests" = "requests", "recent_prompt_tokens" = "prompt",
          "recent_generated_tokens" = "generated", "recent_tokens" = "prompt" + "generated"
        FROM "new" WHERE "new"."id" = "tenant"."id" AND
          ("recent_requests", "recent_prompt_tokens", "recent_generated_tokens")
            IS DISTINCT FROM ("requests", "prompt", "generated")`
      await tx.$executeRaw`
        WITH "used" AS (
          SELECT "adapter_digest" AS "digest", sum("requests") AS "requests",
            sum("prompt_tokens") AS "prompt", sum("generated_tokens") AS "generated"
          FROM "usage_record" WHERE "hour" > now() - interval '24 hours' AND "adapter_digest" <> ''
          GROUP BY "adapter_digest"
        ), "sum" AS (
          SELECT "adapter_id" AS "id", sum("requests")::bigint AS "requests",
            sum("prompt")::bigint AS "prompt", sum("generated")::bigint AS "generated"
          FROM "used" JOIN "adapter_version" USING ("digest") GROUP BY "adapter_id"
        ), "new" AS (
          SELECT "id", coalesce("requests", 0) AS "requests", coalesce("prompt", 0) AS "prompt",
            coalesce("generated", 0) AS "generated"
          FROM "adapter" LEFT JOIN "sum" USING ("id")
        )
        UPDATE "adapter" SET "recent_requests" = "requests", "recent_prompt_tokens" = "prompt",
          "recent_generated_tokens" = "generated", "recent_tokens" = "prompt" + "generated"
        FROM "new" WHERE "new"."id" = "adapter"."id" AND
          ("recent_requests", "recent_prompt_tokens", "recent_generated_tokens")
            IS DISTINCT FROM ("requests", "prompt", "generated")`
    },
    { timeout: 60_000 },
  )
