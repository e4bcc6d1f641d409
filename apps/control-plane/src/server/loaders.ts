import DataLoader from 'dataloader'
import { createAdapterLoaders } from '../adapters/loaders.ts'
import type { Database } from '../db/database.ts'
import type { Adapter, AdapterVersion, ApiKey, Tenant } from '../generated/prisma/client.ts'
import type { Page } from './connection.ts'

/**
 * What one GraphQL operation looks up, gathered so that a list costs a number of statements that
 * does not depend on its length. Made anew for each operation: nothing is remembered beyond it.
 */
export const createLoaders = (db: Database) => {
  const adaptersOfTenant = new Map<string, DataLoader<string, Adapter[]>>()
  return {
    ...createAdapterLoaders(db),
    tenant: new DataLoader((ids: readonly string[]) => findTenants(db, ids)),
    apiKeysOfTenant: new DataLoader((ids: readonly string[]) => findApiKeys(db, ids)),
    versionsOfAdapter: new DataLoader((ids: readonly string[]) => findVersions(db, ids)),
    grantsOfAdapter: new DataLoader((ids: readonly string[]) => findGrants(db, ids)),
    poolOfBaseModel: new DataLoader((names: readonly string[]) => findPools(db, names)),
    /** One more row than the page takes, where there are more. */
    adaptersOfTenant: (page: Page): DataLoader<string, Adapter[]> => {
      const key = JSON.stringify(page)
      const loader =
        adaptersOfTenant.get(key) ??
        new DataLoader((ids: readonly string[]) => findAdapters(db, ids, page))
      adaptersOfTenant.set(key, loader)
      return loader
    },
  }
}
export type Loaders = ReturnType<typeof createLoaders>

const listOf = (ids: readonly string[]) => ({ in: [...ids] })

const groupBy = <T>(
  rows: readonly T[],
  keyOf: (row: T) => string | null,
  keys: readonly string[],
): T[][] => {
  const groups = new Map(keys.map((key): [string, T[]] => [key, []]))
  for (const row of rows) groups.get(keyOf(row) ?? '')?.push(row)
  return keys.map((key) => groups.get(key) ?? [])
}

const findTenants = async (db: Database, ids: readonly string[]): Promise<(Tenant | Error)[]> => {
  const rows = await db.tenant.findMany({ where: { id: listOf(ids) } })
  const byId = new Map(rows.map((row) => [row.id, row]))
  return ids.map((id) => byId.get(id) ?? new Error(`no tenant ${id}`))
}

const findApiKeys = async (db: Database, ids: readonly string[]): Promise<ApiKey[][]> => {
  const rows = await db.apiKey.findMany({
    where: { tenantId: listOf(ids) },
    orderBy: { id: 'asc' },
  })
  return groupBy(rows, (row) => row.tenantId, ids)
}

const findVersions = async (db: Database, ids: readonly string[]): Promise<AdapterVersion[][]> => {
  const rows = await db.adapterVersion.findMany({
    where: { adapterId: listOf(ids) },
    orderBy: { version: 'desc' },
  })
  return groupBy(rows, (row) => row.adapterId, ids)
}

const findGrants = async (db: Database, ids: readonly string[]): Promise<Tenant[][]> => {
  const rows = await db.adapterGrant.findMany({
    where: { adapterId: listOf(ids) },
    include: { tenant: true },
    orderBy: { tenant: { slug: 'asc' } },
  })
  return groupBy(rows, (row) => row.adapterId, ids).map((group) => group.map((row) => row.tenant))
}

const findPools = async (db: Database, names: readonly string[]): Promise<(string | Error)[]> => {
  const rows = await db.pool.findMany({ where: { baseModelName: listOf(names) } })
  const byModel = new Map(rows.map((row) => [row.baseModelName, row.name]))
  return names.map((name) => byModel.get(name) ?? new Error(`no pool serves ${name}`))
}

/** The first rows of each tenant are chosen in the database: a tenant may have very many. */
const findAdapters = async (
  db: Database,
  tenantIds: readonly string[],
  { take, after }: Page,
): Promise<Adapter[][]> => {
  const chosen = await db.$queryRaw<{ id: string }[]>`
    SELECT "adapter"."id"
    FROM unnest(${[...tenantIds]}::uuid[]) AS "wanted"("tenant_id")
    CROSS JOIN LATERAL (
      SELECT "id" FROM "adapter"
      WHERE "tenant_id" = "wanted"."tenant_id" AND (${after}::uuid IS NULL OR "id" > ${after}::uuid)
      ORDER BY "id" LIMIT ${take + 1}
    ) AS "adapter"`
  const rows = await db.adapter.findMany({
    where: { id: listOf(chosen.map(({ id }) => id)) },
    orderBy: { id: 'asc' },
  })
  return groupBy(rows, (row) => row.tenantId, tenantIds)
}
