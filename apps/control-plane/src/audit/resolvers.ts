import type { AuditEventResolvers, QueryResolvers } from '../generated/graphql.ts'
import { Prisma } from '../generated/prisma/client.ts'
import { requireAdminOf } from '../keys/actor.ts'
import { byCreation, listPage } from '../server/list.ts'

export const auditQueries: Pick<QueryResolvers, 'auditEvents'> = {
  auditEvents: (_, { filter, ...page }, { actor, db }) => {
    const { tenant, action, actor: by, outcome, from, to } = filter ?? {}
    const slug = tenant ?? actor.tenant?.slug
    if (slug !== undefined) requireAdminOf(actor, slug)
    const equals = (column: string, value: string | null | undefined): Prisma.Sql[] =>
      value === null || value === undefined
        ? []
        : [Prisma.sql`${Prisma.raw(`"${column}"`)} = ${value}`]
    const where = [
      ...equals('tenant', slug),
      ...equals('action', action),
      ...equals('actor', by),
      ...equals('outcome', outcome),
      ...(from ? [Prisma.sql`"created_at" >= ${from}::timestamptz`] : []),
      ...(to ? [Prisma.sql`"created_at" < ${to}::timestamptz`] : []),
    ]
    const list = { table: 'audit_event', where, order: byCreation('DESC') }
    return listPage(db, list, page, (ids) => db.auditEvent.findMany({ where: { id: { in: ids } } }))
  },
}

export const AuditEvent: AuditEventResolvers = {
  at: ({ createdAt }) => createdAt,
  role: ({ role }) => {
    switch (role) {
      case 'OPERATOR':
      case 'TENANT_ADMIN':
      case 'TENANT_USER':
      case 'NODE':
        return role
      default:
        throw new Error(`audit event of the unknown role ${role}`)
    }
  },
}
