import type { Database } from '../db/database.ts'
import { Prisma } from '../generated/prisma/client.ts'
import { allOf } from '../server/list.ts'

/** What one tenant used of one adapter in one hour or day. */
export type UsageRow = {
  start: Date
  tenantId: string
  /** Slug. */
  tenant: string
  /** Empty: the base model alone. */
  adapterDigest: string
  requests: bigint
  promptTokens: bigint
  generatedTokens: bigint
}

export type UsageInterval = 'HOUR' | 'DAY'

/** Where a page begins: behind the row of this start, tenant and digest. */
export type UsagePosition = { start: Date; tenantId: string; adapterDigest: string }

export type UsageRange = {
  where: readonly Prisma.Sql[]
  interval: UsageInterval
  after: UsagePosition | null
  take: number
}

const bucketOf = (interval: UsageInterval): Prisma.Sql =>
  interval === 'HOUR' ? Prisma.sql`"hour"` : Prisma.sql`date_trunc('day', "hour", 'UTC')`

/** In order of time, tenant and digest, which for hours is the order of an index. */
export const readUsage = (
  db: Database,
  { where, interval, after, take }: UsageRange,
): Promise<UsageRow[]> => {
  const bucket = bucketOf(interval)
  const conditions = [...where, ...beyond(bucket, after)]
  return db.$queryRaw<UsageRow[]>`
    SELECT "row".*, "tenant"."slug" AS "tenant" FROM (
      SELECT ${bucket} AS "start", "tenant_id" AS "tenantId", "adapter_digest" AS "adapterDigest",
        sum("requests")::bigint AS "requests", sum("prompt_tokens")::bigint AS "promptTokens",
        sum("generated_tokens")::bigint AS "generatedTokens"
      FROM "usage_record" WHERE ${allOf(conditions)}
      GROUP BY ${bucket}, "tenant_id", "adapter_digest"
      ORDER BY ${bucket}, "tenant_id", "adapter_digest" LIMIT ${take}
    ) AS "row" JOIN "tenant" ON "tenant"."id" = "row"."tenantId"
    ORDER BY "start", "tenantId", "adapterDigest"`
}

const beyond = (bucket: Prisma.Sql, after: UsagePosition | null): Prisma.Sql[] => {
  if (after === null) return []
  const { start, tenantId, adapterDigest } = after
  return [
    Prisma.sql`"hour" >= ${start}::timestamptz`,
    Prisma.sql`(${bucket}, "tenant_id", "adapter_digest") >
      (${start}::timestamptz, ${tenantId}::uuid, ${adapterDigest})`,
  ]
}

export type UsageTotal = {
  dimension: UsageDimension
  key: string
  requests: bigint
  promptTokens: bigint
  generatedTokens: bigint
  timedRequests: bigint
  tokenGaps: bigint
  /** Means, null of nothing. */
  firstTokenMs: number | null
  tokenGapMs: number | null
}

type UsageDimension = 'TENANT' | 'ADAPTER' | 'HOUR' | 'DAY'

const maxTotals = 1_000

const groups = {
  TENANT: {
    key: Prisma.sql`(SELECT "slug" FROM "tenant" WHERE "id" = "tenant_id")`,
    by: Prisma.sql`"tenant_id"`,
    order: Prisma.sql`sum("prompt_tokens" + "generated_tokens") DESC, "tenant_id"`,
  },
  ADAPTER: {
    key: Prisma.sql`"adapter_digest"`,
    by: Prisma.sql`"adapter_digest"`,
    order: Prisma.sql`sum("prompt_tokens" + "generated_tokens") DESC, "adapter_digest"`,
  },
  HOUR: { key: iso(bucketOf('HOUR')), by: bucketOf('HOUR'), order: bucketOf('HOUR') },
  DAY: { key: iso(bucketOf('DAY')), by: bucketOf('DAY'), order: bucketOf('DAY') },
}

function iso(time: Prisma.Sql): Prisma.Sql {
  return Prisma.sql`to_char(${time} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')`
}

/** Sums by one dimension. */
export const sumUsage = (
  db: Database,
  where: readonly Prisma.Sql[],
  dimension: UsageDimension,
): Promise<UsageTotal[]> => {
  const { key, by, order } = groups[dimension]
  return db.$queryRaw<UsageTotal[]>`
    SELECT ${dimension} AS "dimension", ${key} AS "key", sum("requests")::bigint AS "requests",
      sum("prompt_tokens")::bigint AS "promptTokens",
      sum("generated_tokens")::bigint AS "generatedTokens",
      sum("timed_requests")::bigint AS "timedRequests", sum("token_gaps")::bigint AS "tokenGaps",
      (sum("first_token_ms") / nullif(sum("timed_requests"), 0))::float8 AS "firstTokenMs",
      (sum("generation_ms") / nullif(sum("token_gaps"), 0))::float8 AS "tokenGapMs"
    FROM "usage_record" WHERE ${allOf(where)}
    GROUP BY ${by} ORDER BY ${order} LIMIT ${maxTotals}`
}

/** An adapter version that has each digest, by the name that the viewer (null: anybody) may use. */
export const nameDigests = async (
  db: Database,
  viewer: string | null,
  digests: readonly string[],
): Promise<Map<string, string>> => {
  const mine =
    viewer === null
      ? Prisma.sql`true`
      : Prisma.sql`(
    "adapter"."tenant_id" = ${viewer}::uuid OR EXISTS (
      SELECT 1 FROM "adapter_grant"
      WHERE "adapter_id" = "adapter"."id" AND "adapter_grant"."tenant_id" = ${viewer}::uuid
    ))`
  const rows = await db.$queryRaw<
    { digest: string; owner: string; slug: string; name: string; version: number }[]
  >`
    SELECT DISTINCT ON ("digest") "digest", "adapter"."tenant_id" AS "owner", "slug",
      "adapter"."name", "version"
    FROM "adapter_version"
    JOIN "adapter" ON "adapter"."id" = "adapter_id"
    JOIN "tenant" ON "tenant"."id" = "adapter"."tenant_id"
    WHERE "digest" = ANY(${[...digests]}) AND ${mine}
    ORDER BY "digest", ("adapter"."tenant_id" = ${viewer}::uuid) DESC, "adapter_version"."id"`
  return new Map(
    rows.map(({ digest, owner, slug, name, version }) => [
      digest,
      owner === viewer ? `${name}@${version}` : `${slug}/${name}@${version}`,
    ]),
  )
}
