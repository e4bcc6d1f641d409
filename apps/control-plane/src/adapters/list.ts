import { AppError } from '@punica/schema'
import type { Database } from '../db/database.ts'
import type { QueryAdaptersArgs } from '../generated/graphql.ts'
import { Prisma } from '../generated/prisma/client.ts'
import type { Actor } from '../keys/actor.ts'
import { boundOf, listPage, lowerContains, toOrder } from '../server/list.ts'

const orders = {
  CREATED_AT: { column: 'id', type: 'uuid' },
  NAME: { column: 'name', type: 'text' },
  TRAFFIC: { column: 'recent_tokens', type: 'bigint' },
} as const

/** Adapters of one tenant, or of all for an operator. Throws AppError `forbidden`. */
export const listAdapters = (
  { db, actor }: { db: Database; actor: Actor },
  { tenant, search, baseModel, archived, orderBy, ...page }: QueryAdaptersArgs,
) => {
  const slug = tenant ?? actor.tenant?.slug
  if (actor.tenant !== null && slug !== actor.tenant.slug) {
    throw new AppError('forbidden', `This key may not list the adapters of tenant ${slug}`)
  }
  const where = [
    ...(slug === undefined
      ? []
      : [Prisma.sql`"tenant_id" = (SELECT "id" FROM "tenant" WHERE "slug" = ${slug})`]),
    ...(search ? [lowerContains('name', search)] : []),
    ...(archived === null || archived === undefined
      ? []
      : [Prisma.sql`("archived_at" IS NOT NULL) = ${archived}`]),
    ...(baseModel ? [Prisma.sql`"base_model_name" = ${baseModel}`] : []),
  ]
  const order = toOrder(orderBy, orders)
  const list = { table: 'adapter', where, order, ...boundOf(search) }
  return listPage(db, list, page, (ids) => db.adapter.findMany({ where: { id: { in: ids } } }))
}
