import { createHash } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import type { Bus } from '@punica/bus'
import {
  type AdapterRecord,
  type ApiKeyRecord,
  adapterRecords,
  apiKeyRecords,
  baseModelRecords,
  type TenantRecord,
  tenantRecords,
} from '@punica/schema'

export const modelFolder = fileURLToPath(new URL('../../../../models/base', import.meta.url))

const digestOf = (text: string): string => createHash('sha256').update(text).digest('hex')

/** A key of the right form; the same name gives the same key. */
export const apiKeyOf = (name: string): string =>
  `pk_${digestOf(name).slice(0, 12)}_${digestOf(`secret of ${name}`).slice(0, 43)}`

export const tenantRecord = (slug: string, changes: Partial<TenantRecord> = {}): TenantRecord => ({
  slug,
  suspended: false,
  weight: 1,
  maxConcurrentRequests: null,
  maxTokensPerMinute: null,
  ...changes,
})

export const keyRecord = (name: string, changes: Partial<ApiKeyRecord> = {}): ApiKeyRecord => ({
  prefix: digestOf(name).slice(0, 12),
  hash: digestOf(apiKeyOf(name)),
  tenant: name,
  scopes: ['generate'],
  expiresAtMs: null,
  ...changes,
})

export const versionRecord = (version: number): AdapterRecord['versions'][number] => ({
  version,
  digest: digestOf(`version ${version}`),
  rank: 8,
  sizeBytes: 1_000,
  files: [{ name: 'adapter_config.json', digest: digestOf('config'), sizeBytes: 100 }],
})

/** What an alias stands for, as [version, weight]. */
export const aliasRecord = (
  name: string,
  ...targets: [number, number][]
): AdapterRecord['aliases'][number] => ({
  name,
  targets: targets.map(([version, weight]) => ({ version, weight })),
})

export const adapterRecord = (
  tenant: string,
  name: string,
  changes: Partial<AdapterRecord> = {},
): AdapterRecord => ({
  tenant,
  name,
  baseModel: 'base',
  createdAtMs: 1_700_000_000_000,
  versions: [versionRecord(1)],
  aliases: [aliasRecord('default', [1, 1])],
  grants: [],
  ...changes,
})

/**
 * Tenants `acme` (adapters `poet`, `spy`) and `globex` (may use acme's `poet`), each with a key of
 * its name; the base model is `base`, with the demo model's context.
 */
export const putCatalog = async (bus: Bus): Promise<void> => {
  const tenants = await bus.records(tenantRecords)
  const keys = await bus.records(apiKeyRecords)
  for (const name of ['acme', 'globex']) {
    await tenants.put(name, tenantRecord(name))
    await keys.put(keyRecord(name).prefix, keyRecord(name))
  }
  const bases = await bus.records(baseModelRecords)
  await bases.put('base', { name: 'base', pool: 'default', maxContext: 1024 })
  const adapters = await bus.records(adapterRecords)
  await adapters.put('acme.poet', adapterRecord('acme', 'poet', { grants: ['globex'] }))
  await adapters.put('acme.spy', adapterRecord('acme', 'spy'))
}
