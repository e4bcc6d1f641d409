import { AppError } from '@punica/schema'
import { z } from 'zod'
import type {
  QueryResolvers,
  SubscriptionResolvers,
  UsageRowResolvers,
  UsageTotalResolvers,
} from '../generated/graphql.ts'
import { requireAdminOf } from '../keys/actor.ts'
import { parseFirst } from '../server/connection.ts'
import { requireTenant } from '../tenants/find.ts'
import { toConditions, viewerOf } from './filter.ts'
import { readUsage, sumUsage, type UsageInterval, type UsagePosition } from './rows.ts'

export const usageQueries: Pick<QueryResolvers, 'usage' | 'usageTotals'> = {
  usage: async (_, { filter, interval, ...page }, { actor, db }) => {
    const where = toConditions(actor, filter)
    const take = parseFirst(page)
    const size = interval ?? 'HOUR'
    const after = parseCursor(size, page.after)
    const rows = await readUsage(db, { where, interval: size, after, take: take + 1 })
    const edges = rows.slice(0, take).map((node) => ({ cursor: toCursor(size, node), node }))
    return {
      edges,
      pageInfo: { hasNextPage: rows.length > take, endCursor: edges.at(-1)?.cursor ?? null },
    }
  },

  usageTotals: (_, { filter, by }, { actor, db }) => sumUsage(db, toConditions(actor, filter), by),
}

const Cursor = z.tuple([z.enum(['HOUR', 'DAY']), z.iso.datetime(), z.uuid(), z.string()])

const toCursor = (interval: UsageInterval, { start, tenantId, adapterDigest }: UsagePosition) =>
  Buffer.from(JSON.stringify([interval, start.toISOString(), tenantId, adapterDigest])).toString(
    'base64url',
  )

const parseCursor = (
  interval: UsageInterval,
  after: string | null | undefined,
): UsagePosition | null => {
  if (after === null || after === undefined) return null
  try {
    const text = Buffer.from(after, 'base64url').toString()
    const [size, start, tenantId, adapterDigest] = Cursor.parse(JSON.parse(text))
    if (size === interval) return { start: new Date(start), tenantId, adapterDigest }
  } catch {
    // What cannot be read is refused below as what belongs to another list.
  }
  throw new AppError('invalid_request', 'after: is not a cursor of this list', { param: 'after' })
}

export const usageSubscriptions: Pick<SubscriptionResolvers, 'liveUsage'> = {
  liveUsage: {
    subscribe: async (_, { tenant }, { actor, db, liveUsage }) => {
      const slug = tenant ?? actor.tenant?.slug
      if (slug === undefined) return liveUsage.subscribe(null)
      requireAdminOf(actor, slug)
      return liveUsage.subscribe((await requireTenant(db, slug)).id)
    },
  },
}

export const UsageRow: UsageRowResolvers = {
  adapterDigest: ({ adapterDigest }) => (adapterDigest === '' ? null : adapterDigest),
  adapter: ({ adapterDigest }, _, { actor, loaders }) =>
    adapterDigest === '' ? null : loaders.nameOfDigest(viewerOf(actor)).load(adapterDigest),
}

export const UsageTotal: UsageTotalResolvers = {
  name: ({ key, dimension }, _, { actor, loaders }) =>
    dimension === 'ADAPTER' && key !== '' ? loaders.nameOfDigest(viewerOf(actor)).load(key) : null,
  latency: ({ timedRequests, firstTokenMs, tokenGaps, tokenGapMs }) => ({
    requests: timedRequests,
    firstTokenMs,
    tokenGaps,
    tokenGapMs,
  }),
}
