import {
  type ApiKeyRecord,
  apiKeyRecords,
  type BaseModelRecord,
  baseModelRecords,
  type RecordKind,
  type TenantRecord,
  tenantRecords,
} from '@punica/schema'
import type { Transaction } from '../db/database.ts'
import { adapters } from './adapter-kind.ts'
import { nodes, pools } from './pool-kinds.ts'

/** How records of one kind come out of the database. */
export type CatalogKind<T> = {
  kind: RecordKind<T>
  /** Keys of all records that there should be. */
  listKeys(db: Transaction): Promise<string[]>
  /** What holds now, by key; a key without a record is absent. */
  read(db: Transaction, keys: readonly string[]): Promise<Map<string, T>>
}

const tenants: CatalogKind<TenantRecord> = {
  kind: tenantRecords,
  listKeys: async (db) =>
    (await db.tenant.findMany({ select: { slug: true } })).map(({ slug }) => slug),
  read: async (db, keys) => {
    const rows = await db.tenant.findMany({ where: { slug: { in: [...keys] } } })
    return new Map(
      rows.map((row) => [
        row.slug,
        {
          slug: row.slug,
          suspended: row.suspended,
          weight: row.weight,
          maxConcurrentRequests: row.maxConcurrentRequests,
          maxTokensPerMinute: row.maxTokensPerMinute,
        },
      ]),
    )
  },
}

/** An operator's keys stay here: nothing is generated with them. */
const servable = () => ({
  tenantId: { not: null },
  revokedAt: null,
  OR: [{ expiresAt: null }, { expiresAt: { gt: new Date() } }],
})

const apiKeys: CatalogKind<ApiKeyRecord> = {
  kind: apiKeyRecords,
  listKeys: async (db) => {
    const rows = await db.apiKey.findMany({ where: servable(), select: { prefix: true } })
    return rows.map(({ prefix }) => prefix)
  },
  read: async (db, keys) => {
    const where = { ...servable(), prefix: { in: [...keys] } }
    const rows = await db.apiKey.findMany({ where, include: { tenant: true } })
    const records = new Map<string, ApiKeyRecord>()
    for (const { prefix, hash, tenant, scopes, expiresAt } of rows) {
      if (tenant === null) continue
      records.set(prefix, {
        prefix,
        hash,
        tenant: tenant.slug,
        scopes: scopes.map((scope) => (scope === 'ADMIN' ? 'admin' : 'generate')),
        expiresAtMs: expiresAt?.getTime() ?? null,
      })
    }
    return records
  },
}

const baseModels: CatalogKind<BaseModelRecord> = {
  kind: baseModelRecords,
  listKeys: async (db) => {
    const rows = await db.pool.findMany({ select: { baseModelName: true } })
    return rows.map((row) => row.baseModelName)
  },
  read: async (db, keys) => {
    const where = { baseModelName: { in: [...keys] } }
    const pools = await db.pool.findMany({ where, include: { baseModel: true } })
    return new Map(
      pools.map(({ name: pool, baseModel: { name, maxContext } }) => [
        name,
        { name, pool, maxContext },
      ]),
    )
  },
}

/** Every kind of record of the catalog, under the name that the outbox gives it. */
export const catalogKinds = {
  tenant: tenants,
  key: apiKeys,
  base: baseModels,
  adapter: adapters,
  pool: pools,
  node: nodes,
}
export type CatalogKindName = keyof typeof catalogKinds
export const catalogKindNames = ['tenant', 'key', 'base', 'adapter', 'pool', 'node'] as const
