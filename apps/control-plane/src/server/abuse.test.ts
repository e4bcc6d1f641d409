import { createHash } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Harness, startHarness } from '../testing/harness.ts'

let harness: Harness
let tenantKey = ''
beforeAll(async () => {
  harness = await startHarness()
  tenantKey = (await harness.createTenant('acme')).admin
})
afterAll(() => harness.stop())

const post = (body: unknown, key = harness.operatorKey): Promise<Response> =>
  fetch(`${harness.url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${key}` },
    body: JSON.stringify(body),
  })

const repeat = (count: number, toText: (i: number) => string): string =>
  Array.from({ length: count }, (_, i) => toText(i)).join(' ')

const create = 'createTenant(input: { slug: "x", name: "x" }) { __typename }'

const abuses: [string, string][] = [
  [
    'deep',
    `{ tenants(first: 1) ${'{ edges { node { adapters(first: 1) { edges { node { tenant '.repeat(3)}
      { slug } ${'} } } } } }'.repeat(3)} }`,
  ],
  [
    'wide',
    `{ tenants(first: 100) { edges { node { ${repeat(50, () => 'apiKeys(first: 100) { edges { node { id } } }')} } } } }`,
  ],
  ['aliased queries', `{ ${repeat(220, (i) => `a${i}: catalog { version }`)} }`],
  ['aliased mutations', `mutation { ${repeat(25, (i) => `a${i}: ${create}`)} }`],
  [
    'aliased by a fragment',
    `mutation { ...a ...b } fragment a on Mutation { ${repeat(15, (i) => `a${i}: ${create}`)} }
      fragment b on Mutation { ${repeat(15, (i) => `b${i}: ${create}`)} }`,
  ],
  [
    'a fragment that grows with each level',
    `{ ...f0 } ${repeat(11, (i) => `fragment f${i} on Query { x: viewer { role } ${`...f${i + 1} `.repeat(5)} }`)} fragment f11 on Query { viewer { role } }`,
  ],
  ['a fragment in a circle', '{ ...a } fragment a on Query { ...b } fragment b on Query { ...a }'],
  ['many directives', `{ viewer { role ${'@include(if: true) '.repeat(600)} } }`],
]

describe.each(abuses)('%s', (_, query) => {
  test.each(['operator', 'tenant'])(
    'is refused for a %s before anything is asked of the database',
    async (who) => {
      const key = who === 'operator' ? harness.operatorKey : tenantKey
      await post({ query: '{ viewer { role } }' }, key)
      const before = harness.statements.length
      const { data, errors } = await (await post({ query }, key)).json()
      expect(data).toBeUndefined()
      expect(errors[0].extensions.code).toBe('invalid_request')
      // Who asks is looked up first; the rest is what the service does by itself.
      const asked = harness.statements
        .slice(before)
        .filter((sql) => !/api_key|outbox_entry|"gpu_node"|FROM "public"."tenant"/.test(sql))
      expect(asked).toEqual([])
    },
  )
})

test('batches of operations are refused', async () => {
  const response = await post([{ query: '{ viewer { role } }' }, { query: '{ viewer { role } }' }])
  expect(response.status).toBe(400)
  expect((await response.json()).errors[0].extensions.code).toBe('invalid_request')
})

describe('a persisted query', () => {
  const query = '{ viewer { role keyPrefix } }'
  const hashOf = (text: string) => ({
    persistedQuery: { version: 1, sha256Hash: createHash('sha256').update(text).digest('hex') },
  })

  test('is asked for once, and by its hash from then on, with the rights of who asks', async () => {
    const extensions = hashOf(query)
    const first = await (await post({ extensions })).json()
    expect(first.errors).toEqual([
      { message: 'PersistedQueryNotFound', extensions: { code: 'PERSISTED_QUERY_NOT_FOUND' } },
    ])
    expect((await (await post({ query, extensions })).json()).data.viewer.role).toBe('OPERATOR')
    const { data } = await (await post({ extensions }, tenantKey)).json()
    expect(data.viewer.role).toBe('TENANT_ADMIN')
  })

  test('under the hash of another is refused', async () => {
    const extensions = hashOf('{ catalog { version } }')
    const { errors } = await (await post({ query, extensions })).json()
    expect(errors[0].extensions.code).toBe('invalid_request')
    expect((await (await post({ extensions })).json()).data).toBeUndefined()
  })

  test('is bound by the same limits', async () => {
    const wide = `{ ${repeat(220, (i) => `a${i}: catalog { version }`)} }`
    const { errors } = await (await post({ query: wide, extensions: hashOf(wide) })).json()
    expect(errors[0].extensions.code).toBe('invalid_request')
  })
})
