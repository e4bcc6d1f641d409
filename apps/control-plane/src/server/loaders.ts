import DataLoader from 'dataloader'
import { createAdapterLoaders } from '../adapters/loaders.ts'
import type { Database } from '../db/database.ts'
import type {
  Adapter,
  AdapterVersion,
  ApiKey,
  NatsCredential,
  Tenant,
} from '../generated/prisma/client.ts'
import { type CredentialState, inState } from '../keys/state.ts'
import { nameDigests } from '../usage/rows.ts'
import type { PageArgs } from './connection.ts'
import { byCreation } from './list.ts'
import { countOfEach, type OwnedList, pageOfEach } from './list-of-each.ts'

/**
 * What one GraphQL operation looks up, gathered so that a list costs a number of statements that
 * does not depend on its length. Made anew for each operation: nothing is remembered beyond it.
 */
export const createLoaders = (db: Database) => {
  const pages = createPageLoaders(db)
  return {
    ...createAdapterLoaders(db),
    tenant: new DataLoader((ids: readonly string[]) => findTenants(db, ids)),
    versionsOfAdapter: new DataLoader((ids: readonly string[]) => findVersions(db, ids)),
    grantsOfAdapter: new DataLoader((ids: readonly string[]) => findGrants(db, ids)),
    poolOfBaseModel: new DataLoader((names: readonly string[]) => findPools(db, names)),
    nameOfDigest: createNameLoaders(db),
    apiKeysOfTenant: pages<ApiKey, CredentialState | null>(
      (state) => newest('api_key', inState(state)),
      (ids) => db.apiKey.findMany({ where: { id: listOf(ids) } }),
    ),
    natsCredentialsOfTenant: pages<NatsCredential, CredentialState | null>(
      (state) => newest('nats_credential', inState(state)),
      (ids) => db.natsCredential.findMany({ where: { id: listOf(ids) } }),
    ),
    adaptersOfTenant: pages<Adapter, null>(
      () => ({ table: 'adapter', owner: 'tenant_id', where: [], order: byCreation() }),
      (ids) => db.adapter.findMany({ where: { id: listOf(ids) } }),
    ),
  }
}
export type Loaders = ReturnType<typeof createLoaders>

/** Names of digests as a viewer may use them; null: as anybody may. */
const createNameLoaders = (db: Database) => {
  const loaders = new Map<string | null, DataLoader<string, string | null>>()
  const create = (viewer: string | null): DataLoader<string, string | null> =>
    new DataLoader(async (digests: readonly string[]) => {
      const names = await nameDigests(db, viewer, digests)
      return digests.map((digest) => names.get(digest) ?? null)
    })
  return (viewer: string | null): DataLoader<string, string | null> => {
    const loader = loaders.get(viewer) ?? create(viewer)
    loaders.set(viewer, loader)
    return loader
  }
}

/** The list of a tenant, newest first. */
const newest = (table: string, where: OwnedList['where']): OwnedList => ({
  table,
  owner: 'tenant_id',
  where,
  order: byCreation('DESC'),
})

/** Makes loaders of pages; those of the same page and filter share one loader, and so a statement. */
const createPageLoaders =
  (db: Database) =>
  <T extends { id: string }, Filter>(
    toList: (filter: Filter) => OwnedList,
    load: (ids: string[]) => Promise<T[]>,
  ) => {
    type Connection = Awaited<ReturnType<typeof pageOfEach<T>>>[number]
    const loaders = new Map<string, DataLoader<string, Connection>>()
    const create = (page: PageArgs, list: OwnedList): DataLoader<string, Connection> => {
      const counts = new DataLoader((ownerIds: readonly string[]) =>
        countOfEach(db, list, ownerIds),
      )
      const reads = { load, count: (ownerId: string) => counts.load(ownerId) }
      return new DataLoader((ownerIds: readonly string[]) =>
        pageOfEach(db, list, { ownerIds, page }, reads),
      )
    }
    return (page: PageArgs, filter: Filter): DataLoader<string, Connection> => {
      const key = JSON.stringify([page.first, page.after, filter])
      const loader = loaders.get(key) ?? create(page, toList(filter))
      loaders.set(key, loader)
      return loader
    }
  }

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
