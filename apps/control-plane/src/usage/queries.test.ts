import { createClient } from 'graphql-ws'
import { afterAll, beforeAll, expect, test } from 'vitest'
import WebSocket from 'ws'
import { type Harness, type Payload, startHarness } from '../testing/harness.ts'
import { sumTraffic } from './traffic.ts'

const hourMs = 3600_000
const start = Date.UTC(2026, 0, 1)
const digest = 'd'.repeat(64)
let harness: Harness
const keys = { acme: '', other: '', user: '' }
const ids: Record<string, string> = {}

beforeAll(async () => {
  harness = await startHarness()
  const { db } = harness
  const { admin, user } = await harness.createTenant('acme')
  Object.assign(keys, { acme: admin, user, other: (await harness.createTenant('other')).admin })
  for (const { id, slug } of await db.tenant.findMany()) ids[slug] = id
  const version = { version: 3, digest, rank: 8, numTensors: 1, sizeBytes: 1 }
  await db.adapter.create({
    data: {
      tenantId: ids.acme ?? '',
      name: 'bot',
      baseModelName: 'demo',
      versions: { create: version },
      grants: { create: { tenantId: ids.other ?? '' } },
    },
  })
  for (const slug of ['acme', 'other']) {
    for (let hour = 0; hour < 30; hour++) {
      const used = { requests: 1n, promptTokens: 10n, generatedTokens: BigInt(hour) }
      const at = { tenantId: ids[slug] ?? '', hour: new Date(start + hour * hourMs) }
      await db.usageRecord.create({ data: { ...at, adapterDigest: digest, ...used } })
      await db.usageRecord.create({ data: { ...at, adapterDigest: '', ...used } })
    }
  }
})
afterAll(() => harness.stop())

const between = (fromHour: number, toHour: number): string =>
  `from: "${new Date(start + fromHour * hourMs).toISOString()}", to: "${new Date(start + toHour * hourMs).toISOString()}"`

const ask = async (query: string, key?: string): Promise<Payload> => {
  const { data, errors } = await harness.graphql(`{ ${query} }`, {}, key)
  expect(errors).toBeUndefined()
  return Object.values(data ?? {})[0]
}

test('usage is listed by hour and by day, by the names that the caller may use', async () => {
  const fields =
    '{ edges { node { tenant adapter adapterDigest start requests generatedTokens } } }'
  const hours = await ask(`usage(filter: { ${between(3, 4)} }) ${fields}`, keys.other)
  const row = { tenant: 'other', start: new Date(start + 3 * hourMs).toISOString(), requests: 1 }
  expect(hours.edges.map(({ node }: Payload) => node)).toEqual([
    { ...row, adapter: null, adapterDigest: null, generatedTokens: 3 },
    { ...row, adapter: 'acme/bot@3', adapterDigest: digest, generatedTokens: 3 },
  ])
  const own = `usage(filter: { ${between(0, 48)}, adapterDigest: "${digest}" }, interval: DAY) ${fields}`
  const days = await ask(own, keys.acme)
  expect(days.edges.map(({ node }: Payload) => [node.adapter, node.requests])).toEqual([
    ['bot@3', 24],
    ['bot@3', 6],
  ])
})

test('usage is summed by each dimension', async () => {
  const sum = (by: string, filter = between(0, 48), key?: string) =>
    ask(`usageTotals(filter: { ${filter} }, by: ${by}) { key name requests promptTokens }`, key)
  expect(await sum('TENANT')).toEqual([
    expect.objectContaining({ requests: 60, promptTokens: 600, name: null }),
    expect.objectContaining({ requests: 60, promptTokens: 600 }),
  ])
  expect((await sum('TENANT', undefined, keys.acme)).map(({ key }: Payload) => key)).toEqual([
    'acme',
  ])
  const adapters = await sum('ADAPTER', undefined, keys.acme)
  expect(adapters).toContainEqual({ key: digest, name: 'bot@3', requests: 30, promptTokens: 300 })
  expect(adapters).toContainEqual({ key: '', name: null, requests: 30, promptTokens: 300 })
  expect((await sum('DAY')).map(({ key, requests }: Payload) => [key, requests])).toEqual([
    ['2026-01-01T00:00:00Z', 96],
    ['2026-01-02T00:00:00Z', 24],
  ])
  expect(await sum('HOUR', between(5, 7))).toHaveLength(2)
})

test('latencies are means over what they are of', async () => {
  const { db } = harness
  const of = { tenantId: ids.acme ?? '', adapterDigest: 'b'.repeat(64) }
  const counts = { requests: 4n, promptTokens: 1n, generatedTokens: 1n }
  await db.usageRecord.createMany({
    data: [
      { ...of, hour: new Date(start + 60 * hourMs), ...counts },
      {
        ...of,
        hour: new Date(start + 61 * hourMs),
        ...counts,
        timedRequests: 4n,
        firstTokenMs: 500n,
        generationMs: 90n,
        tokenGaps: 12n,
      },
    ],
  })
  const totals = await ask(
    `usageTotals(filter: { ${between(60, 62)} }, by: HOUR) { latency { requests firstTokenMs tokenGaps tokenGapMs } }`,
  )
  expect(totals.map(({ latency }: Payload) => latency)).toEqual([
    { requests: 0, firstTokenMs: null, tokenGaps: 0, tokenGapMs: null },
    { requests: 4, firstTokenMs: 125, tokenGaps: 12, tokenGapMs: 7.5 },
  ])
})

test.each([
  ['a range that ends before it begins', `{ ${between(2, 1)} }`, 'to'],
  ['more than a year', `{ ${between(0, 24 * 367)} }`, 'from'],
  ['what is no digest', `{ ${between(0, 1)}, adapterDigest: "x" }`, 'adapterDigest'],
])('%s is refused', async (_, filter, field) => {
  const { errors } = await harness.graphql(`{ usage(filter: ${filter}) { edges { cursor } } }`)
  expect(errors?.[0]?.extensions).toEqual({ code: 'invalid_request', field })
})

const csv = (query: string, key?: string): Promise<Response> =>
  fetch(`${harness.url}/usage.csv?${query}`, {
    ...(key === undefined ? {} : { headers: { authorization: `Bearer ${key}` } }),
  })

const range = 'from=2026-01-01T00:00:00Z&to=2026-01-03T00:00:00Z'

test('CSV has the rows of the query, however many pages they are', async () => {
  const { db } = harness
  // More than one batch of what is read at a time.
  const rows = Array.from({ length: 2_500 }, (_, i) => ({
    tenantId: ids.acme ?? '',
    adapterDigest: i.toString(16).padStart(64, '0'),
    hour: new Date(start + 31 * hourMs),
    requests: 1n,
    promptTokens: 1n,
    generatedTokens: 1n,
  }))
  await db.usageRecord.createMany({ data: rows })
  const response = await csv(range, keys.acme)
  expect(response.headers.get('content-type')).toBe('text/csv; charset=utf-8')
  const lines = (await response.text()).trimEnd().split('\n')
  expect(lines).toHaveLength(1 + 60 + 2_500)
  expect(lines[0]).toBe(
    'start,tenant,adapter_digest,adapter,requests,prompt_tokens,generated_tokens',
  )
  expect(lines[2]).toBe(`2026-01-01T00:00:00.000Z,acme,${digest},bot@3,1,10,0`)
  expect(new Set(lines).size).toBe(lines.length)
  expect(lines.every((line) => !line.includes(',other,'))).toBe(true)
})

test.each([
  ['no key', range, undefined, 401, 'unauthenticated'],
  ['another tenant', `${range}&tenant=acme`, 'other', 403, 'forbidden'],
  ['a user', range, 'user', 403, 'forbidden'],
  ['no range', '', 'acme', 400, 'invalid_request'],
  ['a field twice', `${range}&tenant=acme&tenant=other`, 'acme', 400, 'invalid_request'],
  ['an unknown interval', `${range}&interval=WEEK`, 'acme', 400, 'invalid_request'],
] as const)('CSV is refused for %s', async (_, query, who, status, code) => {
  const response = await csv(query, who === undefined ? undefined : keys[who])
  expect([response.status, (await response.json()).error.code]).toEqual([status, code])
})

test('live usage shows what is counted as it grows', async () => {
  const client = createClient({
    url: harness.url.replace('http', 'ws').concat('/graphql'),
    webSocketImpl: WebSocket,
    connectionParams: { authorization: `Bearer ${keys.acme}` },
    lazyCloseTimeout: 0,
  })
  const query = 'subscription { liveUsage { hour { requests } day { generatedTokens } } }'
  const values = client.iterate<Record<string, Payload>>({ query })
  const next = async () => (await values.next()).value?.data?.liveUsage
  expect((await next()).hour.requests).toBe(0)
  const hour = new Date(Date.now() - (Date.now() % hourMs))
  const used = { requests: 2n, promptTokens: 3n, generatedTokens: 4n }
  const of = { tenantId: ids.acme ?? '', adapterDigest: digest, hour }
  await harness.db.usageRecord.create({ data: { ...of, ...used } })
  expect(await next()).toEqual({ hour: { requests: 2 }, day: { generatedTokens: 4 } })
  await values.return?.()
  await client.dispose()
})

test('lists are ordered by the traffic of the last day, which is summed up now and then', async () => {
  await sumTraffic(harness.db)
  const order = 'orderBy: { field: TRAFFIC, direction: DESC }'
  const fields = '{ edges { node { traffic { requests promptTokens generatedTokens } } } }'
  const traffic = { requests: 2, promptTokens: 3, generatedTokens: 4 }
  expect(await ask(`tenants(first: 1, ${order}) ${fields}`)).toEqual({
    edges: [{ node: { traffic } }],
  })
  expect(await ask(`adapters(first: 1, ${order}) ${fields}`)).toEqual({
    edges: [{ node: { traffic } }],
  })
  await harness.db.usageRecord.deleteMany()
  await sumTraffic(harness.db)
  const nothing = { requests: 0, promptTokens: 0, generatedTokens: 0 }
  expect(await ask(`adapters(first: 1, ${order}) ${fields}`)).toEqual({
    edges: [{ node: { traffic: nothing } }],
  })
})
