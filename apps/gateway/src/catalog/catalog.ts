import type { Bus, RecordUpdate } from '@punica/bus'
import {
  type AdapterRecord,
  type ApiKeyRecord,
  adapterRecords,
  apiKeyRecords,
  type BaseModelRecord,
  baseModelRecords,
  type RecordKind,
  type TenantRecord,
  tenantRecords,
} from '@punica/schema'

/** What may be served to whom, in memory and by key, as the control plane last said. */
export type Catalog = {
  readonly tenants: ReadonlyMap<string, TenantRecord>
  /** By the public prefix of the key. */
  readonly keys: ReadonlyMap<string, ApiKeyRecord>
  readonly bases: ReadonlyMap<string, BaseModelRecord>
  /** By `tenant.name`. */
  readonly adapters: ReadonlyMap<string, AdapterRecord>
}

/**
 * Follows the catalog records. Resolves once every record that exists has been read, so that what
 * is not in the catalog then may be refused.
 */
export const watchCatalog = async (
  bus: Pick<Bus, 'records'>,
): Promise<{ catalog: Catalog; stop: () => void }> => {
  const watch = async <T>(kind: RecordKind<T>) => {
    const values = new Map<string, T>()
    const records = await bus.records(kind)
    const stop = await records.watch(({ key, value }: RecordUpdate<T>) => {
      if (value === null) values.delete(key)
      else values.set(key, value)
    })
    return { values, stop }
  }
  const [tenants, keys, bases, adapters] = await Promise.all([
    watch(tenantRecords),
    watch(apiKeyRecords),
    watch(baseModelRecords),
    watch(adapterRecords),
  ])
  return {
    catalog: {
      tenants: tenants.values,
      keys: keys.values,
      bases: bases.values,
      adapters: adapters.values,
    },
    stop: () => {
      for (const watched of [tenants, keys, bases, adapters]) watched.stop()
    },
  }
}
