import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { buildSchema } from 'graphql'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Harness, startHarness } from '../testing/harness.ts'

type Caller = 'operator' | 'admin' | 'user' | 'otherAdmin'
const callers: Caller[] = ['operator', 'admin', 'user', 'otherAdmin']

let harness: Harness
const keys: Record<Caller, string> = { operator: '', admin: '', user: '', otherAdmin: '' }
let foreignKeyId = ''
let ownKeyId = ''
let rotatedKeyId = ''
const none = '00000000-0000-7000-8000-000000000000'
let uploadId = ''

beforeAll(async () => {
  harness = await startHarness()
  keys.operator = harness.operatorKey
  const acme = await harness.createTenant('acme')
  keys.admin = acme.admin
  keys.user = acme.user
  keys.otherAdmin = (await harness.createTenant('other')).admin
  const newKey = async (tenant: string): Promise<string> => {
    const input = { tenant, name: 'to revoke', scopes: ['GENERATE'] }
    return (await harness.mutate('createApiKey', input, 'apiKey { id }')).apiKey.id
  }
  ownKeyId = await newKey('acme')
  rotatedKeyId = await newKey('acme')
  await harness.createTenant('frozen')
  foreignKeyId = await newKey('other')
  const input = { tenant: 'acme', name: 'bot', baseModel: 'demo' }
  uploadId = (await harness.mutate('createAdapterUpload', input, 'upload { id }')).upload.id
})
afterAll(() => harness.stop())

// How each operation ends when it is about tenant acme: `ok` (which includes a refusal for another
// reason than who asks), `null`, or the code of the error.
const problem = '... on ProblemError { code }'
type Row = [name: string, query: () => string, outcomes: Record<Caller, string>]

/** Refused to every tenant. */
function ofOperators(
  name: string,
  query: () => string,
  outcome: string,
  changes: Partial<Record<Caller, string>> = {},
): Row[] {
  const forbidden = { admin: 'forbidden', user: 'forbidden', otherAdmin: 'forbidden' }
  return [[name, query, { operator: outcome, ...forbidden, ...changes }]]
}

/** Allowed to the tenant's own admins, too. */
function ofAdmins(
  name: string,
  query: () => string,
  outcome: string,
  changes: Partial<Record<Caller, string>> = {},
): Row[] {
  return ofOperators(name, query, outcome, { admin: outcome, ...changes })
}

const range = (tenant: string): string =>
  `{ tenant: "${tenant}", from: "2026-01-01T00:00:00Z", to: "2026-01-02T00:00:00Z" }`

const operations: Row[] = [
  [
    'Query.viewer',
    () => '{ viewer { role } }',
    { operator: 'ok', admin: 'ok', user: 'ok', otherAdmin: 'ok' },
  ],
  [
    'Query.tenants',
    () => '{ tenants { edges { node { id } } } }',
    { operator: 'ok', admin: 'forbidden', user: 'forbidden', otherAdmin: 'forbidden' },
  ],
  [
    'Query.tenant',
    () => '{ tenant(slug: "acme") { id } }',
    { operator: 'ok', admin: 'ok', user: 'ok', otherAdmin: 'null' },
  ],
  [
    'Query.baseModels',
    () => '{ baseModels { name pool } }',
    { operator: 'ok', admin: 'ok', user: 'ok', otherAdmin: 'ok' },
  ],
  [
    'Query.adapters',
    () => '{ adapters(tenant: "acme") { edges { node { id } } } }',
    { operator: 'ok', admin: 'ok', user: 'ok', otherAdmin: 'forbidden' },
  ],
  [
    'Query.adapter',
    () => '{ adapter(tenant: "acme", name: "none") { id } }',
    { operator: 'null', admin: 'null', user: 'null', otherAdmin: 'null' },
  ],
  [
    'Query.adapterUploads',
    () => '{ adapterUploads(tenant: "acme") { edges { node { id } } } }',
    { operator: 'ok', admin: 'ok', user: 'forbidden', otherAdmin: 'forbidden' },
  ],
  [
    'Query.adapterUpload',
    () => `{ adapterUpload(id: "${uploadId}") { files { name } } }`,
    { operator: 'ok', admin: 'ok', user: 'null', otherAdmin: 'null' },
  ],
  [
    'Query.pools',
    () => '{ pools { name } }',
    { operator: 'ok', admin: 'forbidden', user: 'forbidden', otherAdmin: 'forbidden' },
  ],
  [
    'Query.nodes',
    () => '{ nodes { totalCount } }',
    { operator: 'ok', admin: 'forbidden', user: 'forbidden', otherAdmin: 'forbidden' },
  ],
  ...ofOperators('Query.pool', () => '{ pool(name: "default") { name } }', 'ok'),
  ...ofOperators('Query.node', () => '{ node(id: "none") { id } }', 'null'),
  ...ofOperators('Query.nodeJoinTokens', () => '{ nodeJoinTokens { totalCount } }', 'ok'),
  ...ofOperators('Query.catalog', () => '{ catalog { pending } }', 'ok'),
  ...ofAdmins('Query.apiKeys', () => '{ apiKeys(tenant: "acme") { totalCount } }', 'ok'),
  ...ofOperators('Query.apiKeys', () => '{ apiKeys { totalCount } }', 'ok', {
    admin: 'ok',
    otherAdmin: 'ok',
  }),
  ...ofAdmins(
    'Query.natsCredentials',
    () => '{ natsCredentials(tenant: "acme") { totalCount } }',
    'ok',
  ),
  ...ofAdmins(
    'Query.usage',
    () => `{ usage(filter: ${range('acme')}) { edges { cursor } } }`,
    'ok',
  ),
  ...ofAdmins(
    'Query.usageTotals',
    () => `{ usageTotals(filter: ${range('acme')}, by: DAY) { key } }`,
    'ok',
  ),
  ...ofAdmins(
    'Query.auditEvents',
    () => '{ auditEvents(filter: { tenant: "acme" }) { edges { cursor } } }',
    'ok',
  ),
  ...ofOperators(
    'Mutation.updateTenant',
    () => `mutation { updateTenant(input: { slug: "acme", weight: 1 }) { ${problem} } }`,
    'ok',
  ),
  ...ofOperators(
    'Mutation.suspendTenant',
    () => `mutation { suspendTenant(input: { slug: "frozen" }) { ${problem} } }`,
    'ok',
  ),
  ...ofOperators(
    'Mutation.resumeTenant',
    () => `mutation { resumeTenant(input: { slug: "frozen" }) { ${problem} } }`,
    'ok',
  ),
  ...ofAdmins(
    'Mutation.rotateApiKey',
    () => `mutation { rotateApiKey(input: { id: "${rotatedKeyId}" }) { ${problem} } }`,
    'ok',
    { otherAdmin: 'not_found' },
  ),
  ...ofOperators(
    'Mutation.createApiKey',
    () => `mutation { createApiKey(input: { name: "o", scopes: [] }) { ${problem} } }`,
    'ok',
  ),
  ...ofAdmins(
    'Mutation.revokeNatsCredential',
    () => `mutation { revokeNatsCredential(input: { id: "${none}" }) { ${problem} } }`,
    'not_found',
    { otherAdmin: 'not_found' },
  ),
  ...ofOperators(
    'Mutation.updatePool',
    () => `mutation { updatePool(input: { name: "default", maxNodes: null }) { ${problem} } }`,
    'ok',
  ),
  ...ofOperators(
    'Mutation.cordonNode',
    () => `mutation { cordonNode(input: { id: "none" }) { ${problem} } }`,
    'not_found',
  ),
  ...ofOperators(
    'Mutation.drainNode',
    () => `mutation { drainNode(input: { id: "none" }) { ${problem} } }`,
    'not_found',
  ),
  ...ofOperators(
    'Mutation.uncordonNode',
    () => `mutation { uncordonNode(input: { id: "none" }) { ${problem} } }`,
    'not_found',
  ),
  ...ofOperators(
    'Mutation.removeNode',
    () => `mutation { removeNode(input: { id: "none" }) { ${problem} } }`,
    'not_found',
  ),
  ...ofOperators(
    'Mutation.createNodeJoinToken',
    () => `mutation { createNodeJoinToken(input: { name: "n", pool: "default" }) { ${problem} } }`,
    'ok',
  ),
  ...ofOperators(
    'Mutation.revokeNodeJoinToken',
    () => `mutation { revokeNodeJoinToken(input: { id: "${none}" }) { ${problem} } }`,
    'not_found',
  ),
  ...ofOperators(
    'Mutation.rebuildCatalog',
    () => `mutation { rebuildCatalog { ${problem} } }`,
    'ok',
  ),
  [
    'Tenant.apiKeys',
    () => '{ tenant(slug: "acme") { apiKeys { totalCount } } }',
    { operator: 'ok', admin: 'ok', user: 'forbidden', otherAdmin: 'null' },
  ],
  [
    'Mutation.createTenant',
    () => `mutation { createTenant(input: { slug: "acme", name: "a" }) { ${problem} } }`,
    { operator: 'conflict', admin: 'forbidden', user: 'forbidden', otherAdmin: 'forbidden' },
  ],
  [
    'Mutation.createApiKey',
    () =>
      `mutation { createApiKey(input: { tenant: "acme", name: "k", scopes: [GENERATE] }) { ${problem} } }`,
    { operator: 'ok', admin: 'ok', user: 'forbidden', otherAdmin: 'forbidden' },
  ],
  [
    'Mutation.revokeApiKey',
    () => `mutation { revokeApiKey(id: "${ownKeyId}") { ${problem} } }`,
    { operator: 'ok', admin: 'ok', user: 'forbidden', otherAdmin: 'not_found' },
  ],
  [
    'Mutation.createNatsCredential',
    () => `mutation { createNatsCredential(input: { tenant: "acme", name: "n" }) { ${problem} } }`,
    { operator: 'unavailable', admin: 'unavailable', user: 'forbidden', otherAdmin: 'forbidden' },
  ],
  [
    'Mutation.createAdapterUpload',
    () =>
      `mutation { createAdapterUpload(input: { tenant: "acme", name: "a", baseModel: "demo" }) { ${problem} } }`,
    { operator: 'ok', admin: 'ok', user: 'forbidden', otherAdmin: 'forbidden' },
  ],
  [
    'Mutation.publishAdapter',
    () => `mutation { publishAdapter(input: { uploadId: "${uploadId}" }) { ${problem} } }`,
    {
      operator: 'invalid_request',
      admin: 'invalid_request',
      user: 'not_found',
      otherAdmin: 'not_found',
    },
  ],
  [
    'Mutation.grantAdapter',
    () =>
      `mutation { grantAdapter(input: { tenant: "acme", name: "none", to: "other" }) { ${problem} } }`,
    { operator: 'not_found', admin: 'not_found', user: 'forbidden', otherAdmin: 'forbidden' },
  ],
  [
    'Mutation.revokeAdapterGrant',
    () =>
      `mutation { revokeAdapterGrant(input: { tenant: "acme", name: "none", to: "other" }) { ${problem} } }`,
    { operator: 'not_found', admin: 'not_found', user: 'forbidden', otherAdmin: 'forbidden' },
  ],
  [
    'Mutation.setAdapterAlias',
    () =>
      `mutation { setAdapterAlias(input: { tenant: "acme", name: "none", targets: [{ version: 1 }] }) { ${problem} } }`,
    { operator: 'not_found', admin: 'not_found', user: 'forbidden', otherAdmin: 'forbidden' },
  ],
  [
    'Mutation.rollbackAdapterAlias',
    () =>
      `mutation { rollbackAdapterAlias(input: { tenant: "acme", name: "none" }) { ${problem} } }`,
    { operator: 'not_found', admin: 'not_found', user: 'forbidden', otherAdmin: 'forbidden' },
  ],
  [
    'Mutation.removeAdapterAlias',
    () =>
      `mutation { removeAdapterAlias(input: { tenant: "acme", name: "none", alias: "next" }) { ${problem} } }`,
    { operator: 'not_found', admin: 'not_found', user: 'forbidden', otherAdmin: 'forbidden' },
  ],
  [
    'Mutation.archiveAdapterVersion',
    () =>
      `mutation { archiveAdapterVersion(input: { tenant: "acme", name: "none", version: 1 }) { ${problem} } }`,
    { operator: 'not_found', admin: 'not_found', user: 'forbidden', otherAdmin: 'forbidden' },
  ],
  [
    'Mutation.archiveAdapter',
    () => `mutation { archiveAdapter(input: { tenant: "acme", name: "none" }) { ${problem} } }`,
    { operator: 'not_found', admin: 'not_found', user: 'forbidden', otherAdmin: 'forbidden' },
  ],
  [
    'Mutation.importAdapter',
    () =>
      `mutation { importAdapter(input: { tenant: "acme", name: "b", baseModel: "demo", folder: "/etc" }) { ${problem} } }`,
    { operator: 'forbidden', admin: 'forbidden', user: 'forbidden', otherAdmin: 'forbidden' },
  ],
]

const outcomeOf = async (query: string, key: string): Promise<string> => {
  const { data, errors } = await harness.graphql(query, {}, key)
  if (errors !== undefined) return String(errors[0]?.extensions.code)
  const value = Object.values(data ?? {})[0]
  return value === null ? 'null' : (value?.code ?? 'ok')
}

describe.each(operations)('%s', (_, query, expected) => {
  test.each(callers)('by %s', async (caller) => {
    expect(await outcomeOf(query(), keys[caller])).toBe(expected[caller])
  })
})

test('the table has every query and every mutation', async () => {
  const path = fileURLToPath(import.meta.resolve('@punica/schema/schema.graphql'))
  const schema = buildSchema(await readFile(path, 'utf8'))
  const fieldsOf = (type: 'Query' | 'Mutation'): string[] => {
    const fields = type === 'Query' ? schema.getQueryType() : schema.getMutationType()
    return Object.keys(fields?.getFields() ?? {}).map((name) => `${type}.${name}`)
  }
  const named = operations.map(([name]) => name)
  expect(named).toEqual(expect.arrayContaining([...fieldsOf('Query'), ...fieldsOf('Mutation')]))
})

test('an admin cannot revoke the key of another tenant', async () => {
  const query = `mutation { revokeApiKey(id: "${foreignKeyId}") { ${problem} } }`
  expect(await outcomeOf(query, keys.admin)).toBe('not_found')
})

test('every mutation, refused or not, stands in the audit log', async () => {
  const events = await harness.db.auditEvent.findMany({ where: { action: 'createApiKey' } })
  expect(events).toContainEqual(
    expect.objectContaining({ tenant: 'acme', role: 'TENANT_ADMIN', outcome: 'ok', target: 'k' }),
  )
  expect(events).toContainEqual(
    expect.objectContaining({ tenant: 'acme', role: 'TENANT_USER', outcome: 'forbidden' }),
  )
  await expect(harness.db.auditEvent.deleteMany()).rejects.toThrow('append-only')
})
