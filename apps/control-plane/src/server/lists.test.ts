import { channels } from '@punica/schema'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Harness, startHarness } from '../testing/harness.ts'
import { nodeStatus } from '../testing/node-status.ts'
import { addAdapters } from '../testing/rows.ts'

const numRows = 12
const tenants = Array.from({ length: numRows }, (_, i) => `tenant-${i}`)
let harness: Harness

beforeAll(async () => {
  harness = await startHarness()
  const { db, bus } = harness
  const hour = new Date(Date.UTC(2026, 0, 1))
  for (const [i, slug] of tenants.entries()) {
    const { id: tenantId } = await db.tenant.create({
      data: { slug, name: `Tenant ${numRows - i}`, suspended: i % 2 === 1 },
    })
    await addAdapters(db, slug, 2)
    const key = { tenantId, scopes: ['GENERATE' as const], hash: 'f'.repeat(64) }
    const prefix = (n: number) => `${String(i).padStart(8, '0')}key${n}`
    await db.apiKey.create({ data: { ...key, prefix: prefix(1), name: `key ${numRows - i}` } })
    const revokedAt = new Date()
    await db.apiKey.create({ data: { ...key, prefix: prefix(2), name: 'old', revokedAt } })
    const publicKey = `U${'A'.repeat(53)}${String.fromCharCode(65 + i)}A`
    await db.natsCredential.create({ data: { tenantId, name: 'laptop', publicKey } })
    const used = { requests: 1n, promptTokens: 2n, generatedTokens: BigInt(i) }
    const adapterDigest = i % 2 === 0 ? 'a'.repeat(64) : ''
    await db.usageRecord.create({ data: { tenantId, adapterDigest, hour, ...used } })
    const token = { name: slug, poolName: 'default', maxUses: 1, expiresAt: new Date(4e12) }
    const identity = { prefix: prefix(3), hash: 'f'.repeat(64) }
    await db.nodeJoinToken.create({ data: { ...token, ...identity } })
    const status = nodeStatus(`node-${i}`, { freePages: i })
    bus.publish(channels.nodeEvents('default'), { type: 'status', status })
  }
})
afterAll(() => harness.stop())

/** What the service does by itself beside the queries. */
const background = /outbox_entry|"gpu_node"|"last_used_at" =|advisory/

const countStatements = async (query: string): Promise<number> => {
  const before = harness.statements.length
  const { errors } = await harness.graphql(query)
  expect(errors).toBeUndefined()
  return harness.statements.slice(before).filter((sql) => !background.test(sql)).length
}

const page = 'pageInfo { hasNextPage endCursor }'
const range = '{ from: "2026-01-01T00:00:00Z", to: "2026-01-02T00:00:00Z" }'

/** The lists of a console with all that its tables show; `args` are the arguments but for the page. */
const lists: [string, (args: string) => string][] = [
  [
    'tenants',
    (args) => `tenants(${args} orderBy: { field: TRAFFIC, direction: DESC }) { totalCount ${page}
      edges { node { slug traffic { requests }
        apiKeys(first: 3, state: ACTIVE) { totalCount edges { node { prefix tenant { slug } } } }
        natsCredentials(first: 3) { totalCount edges { node { name tenant { slug } } } }
        adapters(first: 3) { totalCount edges { node { name versions { version } } } } } } }`,
  ],
  [
    'adapters',
    (args) => `adapters(${args} search: "adapter") { totalCount ${page} edges { node { name
      tenant { slug } versions { version } grants { slug } traffic { generatedTokens } } } }`,
  ],
  [
    'apiKeys',
    (args) => `apiKeys(${args} state: ACTIVE, search: "key") { totalCount ${page}
      edges { node { prefix state lastUsedAt tenant { slug } } } }`,
  ],
  [
    'natsCredentials',
    (args) =>
      `natsCredentials(${args}) { totalCount ${page} edges { node { name state tenant { slug } } } }`,
  ],
  [
    'nodeJoinTokens',
    (args) => `nodeJoinTokens(${args}) { totalCount ${page} edges { node { prefix state pool } } }`,
  ],
  [
    'nodes',
    (args) => `nodes(${args} orderBy: { field: FREE_PAGES, direction: DESC }) { totalCount ${page}
      edges { node { id residentAdapters { digest } } } }`,
  ],
  [
    'usage',
    (args) =>
      `usage(${args} filter: ${range}) { ${page} edges { node { tenant adapter generatedTokens } } }`,
  ],
  [
    'auditEvents',
    (args) => `auditEvents(${args}) { ${page} edges { node { action role actor } } }`,
  ],
]

describe.each(lists)('the list %s', (name, query) => {
  test('costs as many statements as a longer one', async () => {
    // Refused acts, so that the audit log has something to list.
    await harness.graphql('mutation { suspendTenant(input: { slug: "none" }) { __typename } }')
    const few = await countStatements(`{ ${query('first: 2,')} }`)
    expect(await countStatements(`{ ${query(`first: ${numRows},`)} }`)).toBe(few)
    expect(few).toBeLessThanOrEqual(16)
  })

  test('has every row once, page by page', async () => {
    const read = async (args: string): Promise<{ rows: string[]; endCursor: string | null }> => {
      const { data, errors } = await harness.graphql(`{ ${query(args)} }`)
      expect(errors).toBeUndefined()
      if (data === null || data === undefined) throw new Error('no answer')
      const { edges, pageInfo } = data[name]
      const rows = edges.map(({ node }: { node: unknown }) => JSON.stringify(node))
      return { rows, endCursor: pageInfo.hasNextPage ? pageInfo.endCursor : null }
    }
    const { rows: all } = await read('first: 100,')
    const paged: string[] = []
    for (let after: string | null = ''; after !== null; ) {
      const from: string = after === '' ? '' : `after: "${after}",`
      const next = await read(`first: 5, ${from}`)
      paged.push(...next.rows)
      after = next.endCursor
    }
    expect(paged).toEqual(all)
  })

  test.each(['"x"', '"WzFd"', '""', '"WyJpZCIsIkFTQyIsMSwyXQ"'])(
    'refuses the cursor %s',
    async (after) => {
      const { errors } = await harness.graphql(`{ ${query(`after: ${after},`)} }`)
      expect(errors?.[0]?.extensions).toEqual({ code: 'invalid_request', field: 'after' })
    },
  )
})

const slugs = async (args: string): Promise<string[]> => {
  const { data } = await harness.graphql(`{ tenants(${args}) { edges { node { slug } } } }`)
  return data?.tenants.edges.map(({ node }: { node: { slug: string } }) => node.slug)
}

test('tenants are sorted and filtered', async () => {
  const sorted = [...tenants].sort()
  expect(await slugs('orderBy: { field: SLUG }')).toEqual(sorted)
  expect(await slugs('orderBy: { field: SLUG, direction: DESC }')).toEqual(sorted.reverse())
  expect(await slugs('suspended: true, first: 3')).toEqual(['tenant-1', 'tenant-3', 'tenant-5'])
  expect(await slugs('search: "NT-11"')).toEqual(['tenant-11'])
  expect(await slugs('search: "tenant 12"')).toEqual(['tenant-0'])
  expect(await slugs('search: "t_nant"')).toEqual([])
})

test('a cursor of one order is none of another', async () => {
  const first = 'tenants(first: 1, orderBy: { field: SLUG }) { pageInfo { endCursor } }'
  const { data } = await harness.graphql(`{ ${first} }`)
  const after = data?.tenants.pageInfo.endCursor
  const { errors } = await harness.graphql(
    `{ tenants(after: "${after}", orderBy: { field: NAME }) { totalCount } }`,
  )
  expect(errors?.[0]?.extensions).toEqual({ code: 'invalid_request', field: 'after' })
})
