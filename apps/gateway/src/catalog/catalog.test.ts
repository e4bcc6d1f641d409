import { memoryBus } from '@punica/bus'
import { adapterRecords, apiKeyRecords, tenantRecords } from '@punica/schema'
import { beforeEach, describe, expect, test } from 'vitest'
import {
  adapterRecord,
  aliasRecord,
  apiKeyOf,
  keyRecord,
  putCatalog,
  tenantRecord,
  versionRecord,
} from '../testing/fixtures.ts'
import { authenticate } from './authenticate.ts'
import { type Catalog, watchCatalog } from './catalog.ts'
import { findModel, listModels, resolveModel } from './resolve.ts'

const nowMs = 1_800_000_000_000
const bus = memoryBus()
let catalog: Catalog

beforeEach(async () => {
  await putCatalog(bus)
  catalog = (await watchCatalog(bus)).catalog
})

describe('authenticate', () => {
  test('a valid key is its tenant', () => {
    expect(authenticate(catalog, apiKeyOf('acme'), nowMs)).toEqual({ tenant: 'acme' })
  })

  test.each([
    ['nothing', '', /missing or malformed/],
    ['another form', 'sk-123', /missing or malformed/],
    ['an unknown prefix', apiKeyOf('nobody'), /^The API key is not valid$/],
    ['a wrong secret', `${apiKeyOf('acme').slice(0, -1)}x`, /^The API key is not valid$/],
    ['a key of great length', `pk_${'a'.repeat(100_000)}`, /missing or malformed/],
  ])('%s is unauthenticated', (_, key, message) => {
    expect(() => authenticate(catalog, key, nowMs)).toThrow(
      expect.objectContaining({
        code: 'unauthenticated',
        message: expect.stringMatching(message),
      }),
    )
  })

  test.each([
    ['an expired key', { expiresAtMs: nowMs }, 'unauthenticated', /expired at 2027-01-15T/],
    ['a key for administration', { scopes: ['admin' as const] }, 'forbidden', /scope generate/],
    ['a key of a tenant that is gone', { tenant: 'gone' }, 'unauthenticated', /not valid/],
  ])('%s is refused', async (_, changes, code, message) => {
    const keys = await bus.records(apiKeyRecords)
    await keys.put(keyRecord('acme').prefix, keyRecord('acme', changes))
    await bus.flush()
    expect(() => authenticate(catalog, apiKeyOf('acme'), nowMs)).toThrow(
      expect.objectContaining({ code, message: expect.stringMatching(message) }),
    )
  })

  test('a suspended tenant is forbidden', async () => {
    const tenants = await bus.records(tenantRecords)
    await tenants.put('acme', tenantRecord('acme', { suspended: true }))
    await bus.flush()
    expect(() => authenticate(catalog, apiKeyOf('acme'), nowMs)).toThrow(
      expect.objectContaining({ code: 'forbidden' }),
    )
  })

  test('a deleted key is unknown', async () => {
    const keys = await bus.records(apiKeyRecords)
    await keys.delete(keyRecord('acme').prefix)
    await bus.flush()
    expect(() => authenticate(catalog, apiKeyOf('acme'), nowMs)).toThrow(/not valid/)
  })
})

describe('resolveModel', () => {
  const resolve = (model: string, tenant: string, requestId = 'r') =>
    resolveModel(catalog, model, { tenant, baseModel: 'base', requestId })

  test.each([
    ['the base model', 'base', 'acme', null],
    ['an own adapter', 'poet', 'acme', 1],
    ['an own adapter by its full name', 'acme/poet', 'acme', 1],
    ['a version', 'poet@1', 'acme', 1],
    ['an alias', 'poet@default', 'acme', 1],
    ['an adapter that was granted', 'acme/poet', 'globex', 1],
    ['a version of an adapter that was granted', 'acme/poet@1', 'globex', 1],
  ])('finds %s', (_, model, tenant, version) => {
    expect(resolve(model, tenant).adapter?.digest ?? null).toBe(
      version === null ? null : versionRecord(version).digest,
    )
  })

  test.each([
    ['what does not exist', 'nothing', 'acme'],
    ['an adapter that was not granted', 'acme/spy', 'globex'],
    ['a foreign adapter by its bare name', 'poet', 'globex'],
    ['a version that does not exist', 'poet@2', 'acme'],
    ['an alias that does not exist', 'poet@canary', 'acme'],
    ['what is neither a version nor an alias', 'poet@1a', 'acme'],
    ['a name with a dot for the key', 'acme.poet', 'globex'],
    ['odd names', 'acme/poet/x', 'acme'],
    ['empty parts', '/poet', 'acme'],
  ])('says model_not_found of %s, in the same words', (_, model, tenant) => {
    expect(() => resolve(model, tenant)).toThrow(
      expect.objectContaining({
        code: 'model_not_found',
        message: `The model "${model}" does not exist or you have no access to it`,
      }),
    )
  })

  test('an adapter of another base model is not served here', async () => {
    const adapters = await bus.records(adapterRecords)
    await adapters.put('acme.other', adapterRecord('acme', 'other', { baseModel: 'elsewhere' }))
    await bus.flush()
    expect(() => resolve('other', 'acme')).toThrow(/does not exist/)
  })

  /** Makes `poet` stand for these shares of its three versions, and says who gets version 2. */
  const shareOut = async (...targets: [number, number][]) => {
    const adapters = await bus.records(adapterRecords)
    const record = adapterRecord('acme', 'poet', {
      versions: [1, 2, 3].map(versionRecord),
      aliases: [aliasRecord('default', ...targets), aliasRecord('next', [3, 1])],
    })
    await adapters.put('acme.poet', record)
    await bus.flush()
    const requests = Array.from({ length: 2_000 }, (_, i) => `r${i}`)
    return requests.filter(
      (id) => resolve('poet', 'acme', id).adapter?.digest === versionRecord(2).digest,
    )
  }

  test('a bare name takes versions in proportion to their weights, a request always the same', async () => {
    const canary = await shareOut([1, 0.9], [2, 0.1])
    expect(canary.length / 2_000).toBeCloseTo(0.1, 1)
    expect(await shareOut([1, 0.9], [2, 0.1])).toEqual(canary)
    expect(resolve('poet@3', 'acme').adapter?.digest).toBe(versionRecord(3).digest)
    expect(resolve('poet@next', 'acme').adapter?.digest).toBe(versionRecord(3).digest)
  })

  test('a canary that grows keeps the requests that it had', async () => {
    const few = await shareOut([1, 0.9], [2, 0.1])
    const more = await shareOut([1, 0.6], [2, 0.4])
    expect(more).toEqual(expect.arrayContaining(few))
    expect(await shareOut([1, 1])).toEqual([])
  })
})

test('models are listed under the names that the tenant may use', () => {
  const ids = (tenant: string) =>
    listModels(catalog, { tenant, baseModel: 'base' }).map(({ id }) => id)
  expect(ids('acme')).toEqual(['base', 'poet', 'spy'])
  expect(ids('globex')).toEqual(['base', 'acme/poet'])
  expect(findModel(catalog, 'acme/poet', { tenant: 'globex', baseModel: 'base' })).toEqual({
    id: 'acme/poet',
    object: 'model',
    created: 1_700_000_000,
    owned_by: 'acme',
    parent: 'base',
    version: 1,
    digest: versionRecord(1).digest,
    max_model_len: 1024,
  })
})
