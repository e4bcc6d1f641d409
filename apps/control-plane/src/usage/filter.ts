import { AppError } from '@punica/schema'
import { z } from 'zod'
import type { UsageFilter } from '../generated/graphql.ts'
import { Prisma } from '../generated/prisma/client.ts'
import { type Actor, requireAdminOf } from '../keys/actor.ts'
import { parseInput } from '../server/input.ts'

const hourMs = 3600_000
const maxSpanMs = 366 * 24 * hourMs

const Filter = z
  .object({
    tenant: z.string().nullish(),
    adapterDigest: z
      .string()
      .regex(/^([0-9a-f]{64})?$/, 'must be a sha256 in lower-case hex, or empty')
      .nullish(),
    from: z.date(),
    to: z.date(),
  })
  .refine(({ from, to }) => from < to, { path: ['to'], message: 'must be after from' })
  .refine(({ from, to }) => to.getTime() - from.getTime() <= maxSpanMs, {
    path: ['from'],
    message: 'must be at most 366 days before to',
  })

/**
 * The rows of usage_record that a caller asks for. Throws AppError `forbidden` where it may not see
 * them, `invalid_request` naming the field.
 */
export const toConditions = (actor: Actor, filter: UsageFilter): Prisma.Sql[] => {
  const { tenant, adapterDigest, from, to } = parseInput(Filter, filter)
  const slug = tenant ?? actor.tenant?.slug
  if (slug !== undefined) requireAdminOf(actor, slug)
  const firstHour = new Date(from.getTime() - (from.getTime() % hourMs))
  return [
    Prisma.sql`"hour" >= ${firstHour}::timestamptz AND "hour" < ${to}::timestamptz`,
    ...(slug === undefined
      ? []
      : [Prisma.sql`"tenant_id" = (SELECT "id" FROM "tenant" WHERE "slug" = ${slug})`]),
    ...(adapterDigest === null || adapterDigest === undefined
      ? []
      : [Prisma.sql`"adapter_digest" = ${adapterDigest}`]),
  ]
}

/** Whose adapters' names a caller may be told; null: everybody's. */
export const viewerOf = (actor: Actor): string | null => actor.tenant?.id ?? null

/** Throws AppError `invalid_request` for what is no interval. */
export const parseInterval = (text: string): 'HOUR' | 'DAY' => {
  if (text === 'HOUR' || text === 'DAY') return text
  throw new AppError('invalid_request', 'interval: must be HOUR or DAY', { param: 'interval' })
}
