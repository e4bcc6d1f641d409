import { request } from 'node:http'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Harness, startHarness } from '../testing/harness.ts'
import { addAdapters } from '../testing/rows.ts'

let harness: Harness
let tenantKey = ''
beforeAll(async () => {
  harness = await startHarness()
  tenantKey = (await harness.createTenant('acme')).admin
})
afterAll(() => harness.stop())

const post = (body: string, headers: Record<string, string> = {}): Promise<Response> =>
  fetch(`${harness.url}/graphql`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      authorization: `Bearer ${harness.operatorKey}`,
      ...headers,
    },
    body,
  })

beforeAll(async () => {
  await harness.createTenant('large')
  await addAdapters(harness.db, 'large', 30)
})

test('pages keep their place while the list changes', async () => {
  const page = async (after: string | null) => {
    const query = `query ($after: String) { adapters(tenant: "large", first: 7, after: $after) {
      edges { node { name } } pageInfo { hasNextPage endCursor } } }`
    const { data } = await harness.graphql(query, { after })
    return data?.adapters
  }
  const names: string[] = []
  let after: string | null = null
  for (let more = true; more; ) {
    const { edges, pageInfo } = await page(after)
    names.push(...edges.map((edge: { node: { name: string } }) => edge.node.name))
    after = pageInfo.endCursor
    more = pageInfo.hasNextPage
    if (names.length === 7) {
      const [gone] = await harness.db.adapter.findMany({
        where: { name: 'adapter-6', tenant: { slug: 'large' } },
      })
      await harness.db.adapterVersion.deleteMany({ where: { adapterId: gone?.id ?? '' } })
      await harness.db.adapterGrant.deleteMany({ where: { adapterId: gone?.id ?? '' } })
      await harness.db.adapter.deleteMany({ where: { id: gone?.id ?? '' } })
    }
  }
  expect(names).toEqual(Array.from({ length: 30 }, (_, i) => `adapter-${i}`))
})

test.each([
  ['{ adapters(first: 0) { edges { cursor } } }', 'first'],
  ['{ adapters(first: 101) { edges { cursor } } }', 'first'],
  ['{ adapters(after: "x") { edges { cursor } } }', 'after'],
])('%s is refused', async (query, field) => {
  const { errors } = await harness.graphql(query)
  expect(errors?.[0]?.extensions).toEqual({ code: 'invalid_request', field })
})

test('a part of a name finds adapters, whatever characters it has', async () => {
  const find = async (search: string) => {
    const query =
      'query ($s: String) { adapters(tenant: "large", search: $s) { edges { node { name } } } }'
    return (await harness.graphql(query, { s: search })).data?.adapters.edges.length
  }
  expect(await find('r-29')).toBe(1)
  expect(await find('%')).toBe(0)
  expect(await find("'; drop table adapter")).toBe(0)
})

test('a form post from a browser is refused', async () => {
  const response = await post('query={viewer{role}}', { 'content-type': 'text/plain' })
  expect(response.status).toBe(400)
  const get = await fetch(`${harness.url}/graphql?query={viewer{role}}`, {
    headers: { authorization: `Bearer ${harness.operatorKey}` },
  })
  expect(get.status).toBe(400)
  expect(get.headers.get('access-control-allow-origin')).toBeNull()
})

test.each([
  ['what is not JSON', '{', 400, 'invalid_request'],
  [
    'a body over the limit',
    JSON.stringify({ query: ' '.repeat(300_000) }),
    413,
    'payload_too_large',
  ],
])('%s is refused', async (_, body, status, code) => {
  const response = await post(body)
  expect(response.status).toBe(status)
  expect(await response.json()).toMatchObject({ error: { code } })
})

test.each([
  ['what is not GraphQL', '{ viewer'],
  ['an unknown field', '{ viewer { none } }'],
  ['too many tokens', `{ ${'viewer '.repeat(2001)} }`],
  [
    'too deep a nesting',
    `{ tenants { ${'edges { node { adapters { edges { node { tenant { adapters { '.repeat(2)} __typename ${'} } } } } } } '.repeat(2)} } }`,
  ],
  [
    'a number beyond 32 bits',
    'mutation { createTenant(input: { slug: "x", name: "x", maxConcurrentRequests: 3000000000 }) { __typename } }',
  ],
  ['a text with a NUL', '{ tenant(slug: "a\\u0000b") { id } }'],
  [
    'a date that is none',
    'mutation { createApiKey(input: { tenant: "acme", name: "x", scopes: [ADMIN], expiresAt: "tomorrow" }) { __typename } }',
  ],
])('%s is refused with a code of the table', async (_, query) => {
  const response = await post(JSON.stringify({ query }))
  const { errors } = await response.json()
  expect(errors[0].extensions).toEqual({ code: 'invalid_request' })
})

test('only operators see the schema', async () => {
  const query = '{ __schema { queryType { name } } }'
  expect((await harness.graphql(query)).data).toBeTruthy()
  const { errors } = await harness.graphql(query, {}, tenantKey)
  expect(errors?.[0]?.extensions.code).toBe('forbidden')
})

test('a failure of ours shows nothing of itself', async () => {
  await harness.db.$executeRaw`ALTER TABLE "pool" RENAME TO "pool_away"`
  const { errors } = await harness.graphql('{ pools { name } }')
  await harness.db.$executeRaw`ALTER TABLE "pool_away" RENAME TO "pool"`
  expect(errors).toEqual([{ message: 'Internal error', extensions: { code: 'internal' } }])
})

test.each([
  [{ slug: 'Bad_Slug' }, 'invalid_request', 'slug'],
  [{ slug: 'acme' }, 'conflict', 'slug'],
  [{ name: 'a\0b' }, 'invalid_request', null],
  [{ weight: 0 }, 'invalid_request', 'weight'],
  [{ maxConcurrentRequests: 0 }, 'invalid_request', 'maxConcurrentRequests'],
])('createTenant refuses %j', async (changes, code, field) => {
  const input = { slug: 'fresh', name: 'Fresh', ...changes }
  const result = await harness.mutate('createTenant', input, 'tenant { id }')
  expect(result).toMatchObject({ __typename: 'ProblemError', code, field })
})

test('other addresses are not found', async () => {
  const response = await fetch(`${harness.url}/none`)
  expect([response.status, (await response.json()).error.code]).toEqual([404, 'not_found'])
})

test('a request that says a length and stops does not hold the others up', async () => {
  const stuck = request(`${harness.url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'content-length': 100 },
  })
  stuck.on('error', () => {})
  stuck.write('{')
  expect((await harness.graphql('{ viewer { role } }')).data).toEqual({
    viewer: { role: 'OPERATOR' },
  })
  stuck.destroy()
})
