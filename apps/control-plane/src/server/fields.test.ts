import { channels } from '@punica/schema'
import { type GraphQLObjectType, getNamedType, isLeafType, isObjectType } from 'graphql'
import { createClient } from 'graphql-ws'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import WebSocket from 'ws'
import { type Harness, startHarness } from '../testing/harness.ts'
import { nodeStatus } from '../testing/node-status.ts'
import { loadSchema } from './schema.ts'

/** `guest`: the admin of a tenant to which acme has granted its adapter; `stranger`: of another. */
const callers = ['operator', 'admin', 'user', 'guest', 'stranger'] as const
type Caller = (typeof callers)[number]
type Outcomes = Record<Caller, string>

const schema = await loadSchema()
let harness: Harness
let uploadId = ''
const keys: Record<Caller, string> = { operator: '', admin: '', user: '', guest: '', stranger: '' }

beforeAll(async () => {
  harness = await startHarness()
  const { db, bus, mutate } = harness
  keys.operator = harness.operatorKey
  Object.assign(keys, await harness.createTenant('acme'))
  keys.guest = (await harness.createTenant('guest')).admin
  keys.stranger = (await harness.createTenant('stranger')).admin
  const { id: tenantId } = await db.tenant.findUniqueOrThrow({ where: { slug: 'acme' } })
  const guest = await db.tenant.findUniqueOrThrow({ where: { slug: 'guest' } })
  const version = { version: 1, digest: 'a'.repeat(64), rank: 8, numTensors: 1, sizeBytes: 1 }
  const adapter = await db.adapter.create({
    data: {
      tenantId,
      name: 'shared',
      baseModelName: 'demo',
      versions: { create: version },
      grants: { create: { tenantId: guest.id } },
    },
    include: { versions: true },
  })
  const targets = { create: adapter.versions.map(({ id }) => ({ versionId: id, weight: 1 })) }
  await db.adapterAlias.create({
    data: {
      adapterId: adapter.id,
      name: 'default',
      revision: 1,
      revisions: { create: { revision: 1, origin: 1, actor: 'a', targets } },
    },
  })
  const publicKey = `U${'A'.repeat(55)}`
  await db.natsCredential.create({ data: { tenantId, name: 'laptop', publicKey } })
  const used = { requests: 1n, promptTokens: 2n, generatedTokens: 3n }
  const hour = new Date(Date.UTC(2026, 0, 1))
  await db.usageRecord.create({ data: { tenantId, adapterDigest: version.digest, hour, ...used } })
  await mutate('createNodeJoinToken', { name: 'rack', pool: 'default' }, 'secret')
  const upload = { tenant: 'acme', name: 'bot', baseModel: 'demo' }
  uploadId = (await mutate('createAdapterUpload', upload, 'upload { id }')).upload.id
  const status = nodeStatus('node-1')
  bus.publish(channels.nodeEvents('default'), { type: 'status', status })
})
afterAll(() => harness.stop())

const all = (outcome: string, changes: Partial<Outcomes> = {}): Outcomes => ({
  operator: outcome,
  admin: outcome,
  user: outcome,
  guest: outcome,
  stranger: outcome,
  ...changes,
})
const operators = all('forbidden', { operator: 'ok' })
const admins = all('forbidden', { operator: 'ok', admin: 'ok' })
const range = 'tenant: "acme", from: "2026-01-01T00:00:00Z", to: "2026-01-02T00:00:00Z"'
const granted = (field: string) => `adapter(tenant: "acme", name: "shared") { ${field} }`
const guests = all('ok', { stranger: 'null' })

/**
 * How each type is reached that decides by itself who may see what; what a caller gets of its fields;
 * and the fields of which one gets something else. Fields that are not named here have no right of
 * their own: `fields` names every one, so that a new one must be thought of.
 */
type TypeRow = {
  reach: (field: string) => string
  outcomes: Outcomes
  fields: string
  others?: Record<string, Outcomes>
}

const types: [name: string, row: TypeRow][] = [
  [
    'Viewer',
    {
      reach: (field) => `viewer { ${field} }`,
      outcomes: all('ok'),
      fields: 'role tenant keyPrefix',
    },
  ],
  [
    'Tenant',
    {
      reach: (field) => `tenant(slug: "acme") { ${field} }`,
      outcomes: all('ok', { guest: 'null', stranger: 'null' }),
      fields:
        'id slug name suspended suspendedReason weight maxConcurrentRequests maxTokensPerMinute createdAt traffic adapters',
      others: {
        apiKeys: all('ok', { user: 'forbidden', guest: 'null', stranger: 'null' }),
        natsCredentials: all('ok', { user: 'forbidden', guest: 'null', stranger: 'null' }),
      },
    },
  ],
  [
    'Tenant',
    {
      reach: (field) => granted(`tenant { ${field} }`),
      outcomes: all('ok', { guest: 'forbidden', stranger: 'null' }),
      fields:
        'suspended suspendedReason weight maxConcurrentRequests maxTokensPerMinute createdAt traffic adapters',
      others: {
        id: guests,
        slug: guests,
        name: guests,
        apiKeys: all('ok', { user: 'forbidden', guest: 'forbidden', stranger: 'null' }),
        natsCredentials: all('ok', { user: 'forbidden', guest: 'forbidden', stranger: 'null' }),
      },
    },
  ],
  [
    'Adapter',
    {
      reach: granted,
      outcomes: guests,
      fields: 'id tenant name baseModel createdAt archivedAt versions aliases',
      others: {
        grants: all('ok', { user: 'forbidden', guest: 'forbidden', stranger: 'null' }),
        traffic: all('ok', { guest: 'forbidden', stranger: 'null' }),
      },
    },
  ],
  [
    'AdapterVersion',
    {
      reach: (field) => granted(`versions { ${field} }`),
      outcomes: guests,
      fields:
        'id version digest rank targetModules numTensors sizeBytes weight aliases createdAt archivedAt probe',
    },
  ],
  [
    'AdapterAlias',
    {
      reach: (field) => granted(`aliases { ${field} }`),
      outcomes: guests,
      fields: 'name targets revision updatedAt',
      others: { history: all('ok', { user: 'forbidden', guest: 'forbidden', stranger: 'null' }) },
    },
  ],
  [
    'AdapterUpload',
    {
      reach: (field) => `adapterUpload(id: "${uploadId}") { ${field} }`,
      outcomes: all('null', { operator: 'ok', admin: 'ok' }),
      fields: 'id tenant name baseModel status problem files version createdAt expiresAt',
    },
  ],
  [
    'ApiKey',
    {
      reach: (field) => `apiKeys(tenant: "acme") { edges { node { ${field} } } }`,
      outcomes: admins,
      fields:
        'id tenant prefix name scopes state createdAt createdBy expiresAt revokedAt lastUsedAt',
    },
  ],
  [
    'NatsCredential',
    {
      reach: (field) => `natsCredentials(tenant: "acme") { edges { node { ${field} } } }`,
      outcomes: admins,
      fields: 'id tenant name publicKey state createdAt expiresAt revokedAt',
    },
  ],
  [
    'BaseModel',
    {
      reach: (field) => `baseModels { ${field} }`,
      outcomes: all('ok'),
      fields: 'name pool architecture maxContext',
    },
  ],
  [
    'Pool',
    {
      reach: (field) => `pool(name: "default") { ${field} }`,
      outcomes: operators,
      fields: 'name baseModel maxNodes interTokenTargetMs maxBatchSize scaleHint nodes',
    },
  ],
  [
    'GpuNode',
    {
      reach: (field) => `node(id: "node-1") { ${field} }`,
      outcomes: operators,
      fields:
        'id pool state scheduling reason baseModel backend description memoryBytes bandwidthBytesPerSecond lastSeenAt requests maxBatchSize maxContext numPages freePages kvPages adapterPages pageBytes pageSize batchSize adaptersInBatch stepMs promptTokens generatedTokens tokensPerSecond residentAdapters runningRequests',
    },
  ],
  [
    'NodeJoinToken',
    {
      reach: (field) => `nodeJoinTokens { edges { node { ${field} } } }`,
      outcomes: operators,
      fields: 'id prefix name pool state maxUses uses createdAt expiresAt revokedAt',
    },
  ],
  [
    'UsageRow',
    {
      reach: (field) => `usage(filter: { ${range} }) { edges { node { ${field} } } }`,
      outcomes: admins,
      fields: 'tenant adapterDigest adapter start requests promptTokens generatedTokens',
    },
  ],
  [
    'UsageTotal',
    {
      reach: (field) => `usageTotals(filter: { ${range} }, by: ADAPTER) { ${field} }`,
      outcomes: admins,
      fields: 'key name requests promptTokens generatedTokens latency',
    },
  ],
  [
    'AuditEvent',
    {
      reach: (field) => `auditEvents(filter: { tenant: "acme" }) { edges { node { ${field} } } }`,
      outcomes: admins,
      fields: 'id at actor role action tenant target outcome',
    },
  ],
  [
    'CatalogState',
    {
      reach: (field) => `catalog { ${field} }`,
      outcomes: operators,
      fields: 'version pending oldestPendingAt',
    },
  ],
]

/** Plain values: whoever may see the field that answers one may see all of it. */
const plain =
  'Traffic ProblemError PageInfo AdapterProbe AliasTarget AliasRevision ScaleHint RunningRequest ResidentAdapter UploadProblem UploadFile Latency MeanLatency ClusterState PoolState NodeLoad NodeEvent DecisionBatch Decision LiveUsage PlaygroundUpdate PlaygroundAnswer'.split(
    ' ',
  )
const isPlain = (name: string): boolean =>
  plain.includes(name) || /(Payload|Connection|Edge)$/.test(name)

const objectTypes = Object.values(schema.getTypeMap()).filter(
  (type): type is GraphQLObjectType =>
    isObjectType(type) &&
    !type.name.startsWith('__') &&
    !/^(Query|Mutation|Subscription)$/.test(type.name),
)

const select = (typeName: string, field: string): string => {
  const type = objectTypes.find(({ name }) => name === typeName)?.getFields()[field]?.type
  if (type === undefined) throw new Error(`there is no ${typeName}.${field}`)
  return isLeafType(getNamedType(type)) ? field : `${field} { __typename }`
}

const outcomeOf = async (query: string, key: string): Promise<string> => {
  const { data, errors } = await harness.graphql(`{ ${query} }`, {}, key)
  if (errors !== undefined) return String(errors[0]?.extensions.code)
  const [value] = Object.values(data ?? {})
  const list = value?.edges ?? value
  if (Array.isArray(list)) expect(list.length).toBeGreaterThan(0)
  return value === null ? 'null' : 'ok'
}

const rows = types.flatMap(([type, { reach, outcomes, fields, others = {} }]) => [
  ...fields.split(' ').map((field) => [type, field, reach, outcomes] as const),
  ...Object.entries(others).map(([field, own]) => [type, field, reach, own] as const),
])

describe.each(rows)('%s.%s', (type, field, reach, outcomes) => {
  test('answers each role as it should', async () => {
    const query = reach(select(type, field))
    const seen = await Promise.all(
      callers.map(async (caller) => [caller, await outcomeOf(query, keys[caller])] as const),
    )
    expect(Object.fromEntries(seen)).toEqual(outcomes)
  })
})

test('every field of every type has its row, or belongs to a plain value', () => {
  for (const [type, { fields, others = {} }] of types) {
    const named = [...fields.split(' '), ...Object.keys(others)].toSorted()
    const there = objectTypes.find(({ name }) => name === type)?.getFields() ?? {}
    expect([type, named]).toEqual([type, Object.keys(there).toSorted()])
  }
  const known = types.map(([type]) => type)
  const without = objectTypes.filter(({ name }) => !known.includes(name) && !isPlain(name))
  expect(without.map(({ name }) => name)).toEqual([])
})

test('what a plain value answers is decided by nobody', () => {
  const deciding = objectTypes
    .filter(({ name }) => isPlain(name))
    .flatMap((type) =>
      Object.entries(type.getFields())
        .filter(([, { resolve }]) => resolve !== undefined)
        .map(([field]) => `${type.name}.${field}`),
    )
  expect(deciding).toEqual([])
})

/** A `-` is not tried here: what it answers comes later than the test, or from another service. */
const subscriptions: [name: string, query: () => string, outcomes: Outcomes][] = [
  ['clusterState', () => 'clusterState { at }', operators],
  ['nodeEvents', () => 'nodeEvents { nodeId }', { ...operators, operator: '-' }],
  ['decisions', () => 'decisions { skipped }', { ...operators, operator: '-' }],
  ['liveUsage', () => 'liveUsage(tenant: "acme") { at }', admins],
  [
    'adapterStatus',
    () => `adapterStatus(uploadId: "${uploadId}") { status }`,
    all('not_found', { operator: 'ok', admin: 'ok' }),
  ],
  [
    'playground',
    () =>
      'playground(input: { tenant: "acme", models: ["x"], prompt: "x", maxTokens: 1, temperature: 0 }) { __typename }',
    all('-', { guest: 'forbidden', stranger: 'forbidden' }),
  ],
]

describe.each(subscriptions)('Subscription.%s', (_, query, outcomes) => {
  test.each(callers)('by the %s', async (caller) => {
    if (outcomes[caller] === '-') return
    const client = createClient({
      url: harness.url.replace('http', 'ws').concat('/graphql'),
      webSocketImpl: WebSocket,
      connectionParams: { authorization: `Bearer ${keys[caller]}` },
      lazyCloseTimeout: 0,
      retryAttempts: 0,
    })
    const results = client.iterate({ query: `subscription { ${query()} }` })
    const errors = await results.next().then(
      ({ value }) => value?.errors,
      (refused: unknown) => refused,
    )
    const code = Array.isArray(errors) ? errors[0]?.extensions?.code : undefined
    expect(code ?? 'ok').toBe(outcomes[caller])
    await results.return?.()
    await client.dispose()
  })
})

test('the table has every subscription', () => {
  const fields = Object.keys(schema.getSubscriptionType()?.getFields() ?? {})
  expect(subscriptions.map(([name]) => name).toSorted()).toEqual(fields.toSorted())
})
