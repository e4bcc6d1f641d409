import type { StreamMessage, StreamPosition } from '@punica/bus'
import { channels, type UsageEvent, usageStream } from '@punica/schema'
import type { Logger, Refusals } from '@punica/service'
import type { Database, Transaction } from '../db/database.ts'
import { type Addition, grow, type Mark } from './grow.ts'

type Deps = { db: Database; log: Pick<Logger, 'error'>; refusals: Pick<Refusals, 'refuse'> }

/** Far beyond any call and any clock, and within what the columns hold. */
const maxTokens = 2 ** 31 - 1
const maxTimeMs = Date.UTC(9999, 0)
const maxLatencyMs = 7 * 24 * 3600_000

/** Up to where the stream of usage has been counted; null: nothing of it. */
export const usagePosition = async (db: Database): Promise<StreamPosition | null> => {
  const row = await db.streamPosition.findUnique({ where: { stream: usageStream } })
  return row === null ? null : { created: row.created, seq: Number(row.seq) }
}

/**
 * Adds events of the stream to the hours of their tenants and adapters. Marks, sums and the position
 * move in one transaction: an event that is counted already, which the stream may hand over again or
 * to another control plane at the same time, adds nothing. The usage of a tenant that is not known
 * adds to nobody.
 */
export const countUsage = async (
  { db, log, refusals }: Deps,
  messages: readonly StreamMessage<UsageEvent>[],
  position: StreamPosition,
): Promise<void> => {
  const fit = messages.filter((message) => {
    if (isPlausible(message)) return true
    refusals.refuse(message.subject, 'implausible')
    log.error({ event: message.value }, 'usage event dropped')
    return false
  })
  await db.$transaction(async (tx) => {
    const counted = await lockPosition(tx, position)
    const fresh = fit.filter(({ seq }) => seq > counted)
    if (fresh.length > 0) {
      const { marks, additions } = grow(await readMarks(tx, fresh), fresh)
      await writeMarks(tx, marks)
      await add(tx, additions)
    }
    await movePosition(tx, Math.max(counted, position.seq), messages.at(-1)?.timeMs ?? 0)
  })
}

/** What cannot be counted must not hold up what comes after it in the stream. */
const isPlausible = ({ subject, value }: StreamMessage<UsageEvent>): boolean =>
  subject === channels.usage(value.tenant).subject &&
  value.promptTokens <= maxTokens &&
  value.completionTokens <= maxTokens &&
  (value.latency?.firstTokenMs ?? 0) <= maxLatencyMs &&
  (value.latency?.generationMs ?? 0) <= maxLatencyMs &&
  value.timeMs <= maxTimeMs

/**
 * Whoever counts waits here for whoever counts already; returns the number up to which it is done. A
 * stream that was made later than the one counted so far begins at 0. Throws where it is the reader
 * that is behind.
 */
const lockPosition = async (tx: Transaction, { created }: StreamPosition): Promise<number> => {
  await tx.$executeRaw`
    INSERT INTO "stream_position" ("stream", "created", "seq", "reached_at")
    VALUES (${usageStream}, ${created}, 0, to_timestamp(0))
    ON CONFLICT DO NOTHING`
  const [row] = await tx.$queryRaw<{ created: string; seq: bigint }[]>`
    SELECT "created", "seq" FROM "stream_position" WHERE "stream" = ${usageStream} FOR UPDATE`
  if (row?.created === created) return Number(row.seq)
  if (row !== undefined && Date.parse(row.created) > Date.parse(created)) {
    throw new Error('the stream of usage has been made anew')
  }
  await tx.streamPosition.update({ where: { stream: usageStream }, data: { created, seq: 0 } })
  return 0
}

const movePosition = async (tx: Transaction, seq: number, timeMs: number): Promise<void> => {
  await tx.$executeRaw`
    UPDATE "stream_position" SET
      "seq" = ${seq}::bigint,
      "reached_at" = GREATEST("reached_at", ${new Date(timeMs)}::timestamptz)
    WHERE "stream" = ${usageStream}`
}

const readMarks = async (
  tx: Transaction,
  messages: readonly StreamMessage<UsageEvent>[],
): Promise<Map<string, Mark>> => {
  const requestId = { in: [...new Set(messages.map(({ value }) => value.requestId))] }
  const rows = await tx.usageMark.findMany({ where: { requestId } })
  return new Map(
    rows.map(({ requestId, completionTokens, final, markedAt }) => [
      requestId,
      { completionTokens, final, markedAtMs: markedAt.getTime() },
    ]),
  )
}

const writeMarks = async (tx: Transaction, marks: ReadonlyMap<string, Mark>): Promise<void> => {
  const values = [...marks.values()]
  await tx.$executeRaw`
    INSERT INTO "usage_mark" ("request_id", "completion_tokens", "final", "marked_at")
    SELECT * FROM unnest(
      ${[...marks.keys()]}::text[],
      ${values.map(({ completionTokens }) => completionTokens)}::int[],
      ${values.map(({ final }) => final)}::boolean[],
      ${values.map(({ markedAtMs }) => new Date(markedAtMs))}::timestamptz[])
    ON CONFLICT ("request_id") DO UPDATE SET
      "completion_tokens" = excluded."completion_tokens",
      "final" = excluded."final",
      "marked_at" = excluded."marked_at"`
}

const add = async (tx: Transaction, additions: readonly Addition[]): Promise<void> => {
  await tx.$executeRaw`
    INSERT INTO "usage_record" AS "record"
      ("tenant_id", "adapter_digest", "hour", "requests", "prompt_tokens", "generated_tokens",
        "timed_requests", "first_token_ms", "generation_ms", "token_gaps")
    SELECT "tenant"."id", "adapter_digest", "hour", "requests", "prompt", "completion",
      "timed", "first", "generation", "gaps"
    FROM unnest(
      ${additions.map(({ tenant }) => tenant)}::text[],
      ${additions.map(({ adapterDigest }) => adapterDigest)}::text[],
      ${additions.map(({ hourMs }) => new Date(hourMs))}::timestamptz[],
      ${additions.map(({ requests }) => requests)}::bigint[],
      ${additions.map(({ promptTokens }) => promptTokens)}::bigint[],
      ${additions.map(({ completionTokens }) => completionTokens)}::bigint[],
      ${additions.map(({ timedRequests }) => timedRequests)}::bigint[],
      ${additions.map(({ firstTokenMs }) => firstTokenMs)}::bigint[],
      ${additions.map(({ generationMs }) => generationMs)}::bigint[],
      ${additions.map(({ tokenGaps }) => tokenGaps)}::bigint[]
    ) AS "added" ("slug", "adapter_digest", "hour", "requests", "prompt", "completion", "timed",
      "first", "generation", "gaps")
    JOIN "tenant" ON "tenant"."slug" = "added"."slug"
    ON CONFLICT ("tenant_id", "adapter_digest", "hour") DO UPDATE SET
      "requests" = "record"."requests" + excluded."requests",
      "prompt_tokens" = "record"."prompt_tokens" + excluded."prompt_tokens",
      "generated_tokens" = "record"."generated_tokens" + excluded."generated_tokens",
      "timed_requests" = "record"."timed_requests" + excluded."timed_requests",
      "first_token_ms" = "record"."first_token_ms" + excluded."first_token_ms",
      "generation_ms" = "record"."generation_ms" + excluded."generation_ms",
      "token_gaps" = "record"."token_gaps" + excluded."token_gaps"`
}

/**
 * Forgets calls of which no event can come any more, by the stream's clock: a gateway tries to store
 * an event for half an hour, and no call lasts a day.
 */
export const forgetCounted = async (db: Database): Promise<void> => {
  await db.$executeRaw`
    DELETE FROM "usage_mark" USING "stream_position"
    WHERE "stream" = ${usageStream}
      AND "marked_at" < "reached_at" - INTERVAL '1 hour'
      AND ("final" OR "marked_at" < "reached_at" - INTERVAL '1 day')`
}
