import { connectBus, createAuthority, issueCredentials } from '@punica/bus'
import { startNatsServer, type TestNatsServer } from '@punica/bus/testing'
import { apiKeyRecords, channels, rolePermissions, tenantInboxPrefix } from '@punica/schema'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Harness, startHarness } from '../testing/harness.ts'
import { createKey, isSameHash, parseKey } from './api-key.ts'
import { seedOperatorKey } from './seed-operator-key.ts'

const authority = await createAuthority()
let nats: TestNatsServer
let harness: Harness
let key = ''
beforeAll(async () => {
  nats = await startNatsServer({ authority })
  const { creds } = await issueCredentials(authority.accountSeed, {
    name: 'control-plane',
    permissions: rolePermissions('control-plane'),
  })
  const bus = await connectBus({ url: nats.url, credentials: creds })
  harness = await startHarness({ bus, natsAccountSeed: authority.accountSeed })
  key = (await harness.createTenant('acme')).admin
})
afterAll(async () => {
  await harness.stop()
  await harness.bus.close()
  await nats.stop()
})

const codeWith = async (authorization: string | undefined): Promise<[number, string]> => {
  const response = await fetch(`${harness.url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...(authorization && { authorization }) },
    body: JSON.stringify({ query: '{ viewer { role } }' }),
  })
  const { errors } = await response.json()
  return [response.status, errors?.[0]?.extensions.code ?? 'ok']
}

const newKey = (changes: Record<string, unknown> = {}, by?: string) => {
  const input = { tenant: 'acme', name: 'k', scopes: ['ADMIN'], ...changes }
  return harness.mutate('createApiKey', input, 'secret apiKey { id prefix scopes expiresAt }', by)
}

test('a key is shown once, kept hashed, and projected', async () => {
  const { secret, apiKey } = await newKey({ scopes: ['GENERATE', 'ADMIN', 'GENERATE'] }, key)
  const row = await harness.db.apiKey.findUniqueOrThrow({ where: { id: apiKey.id } })
  expect(secret).toMatch(/^pk_[a-z0-9]{12}_[A-Za-z0-9_-]{43}$/)
  expect(JSON.stringify(row)).not.toContain(secret.slice(-43))
  expect(apiKey.scopes).toEqual(['GENERATE', 'ADMIN'])
  const records = await harness.bus.records(apiKeyRecords)
  expect((await records.get(apiKey.prefix))?.value).toEqual({
    prefix: apiKey.prefix,
    hash: parseKey(secret)?.hash,
    tenant: 'acme',
    scopes: ['generate', 'admin'],
    expiresAtMs: null,
  })
})

test('a key that is absent, malformed, unknown, revoked or expired is refused', async () => {
  expect(await codeWith(undefined)).toEqual([401, 'unauthenticated'])
  expect(await codeWith('Basic YTpi')).toEqual([401, 'unauthenticated'])
  expect(await codeWith('Bearer sk-123')).toEqual([401, 'unauthenticated'])
  expect(await codeWith(`Bearer ${createKey().secret}`)).toEqual([401, 'unauthenticated'])

  const { secret, apiKey } = await newKey()
  expect(await codeWith(`Bearer ${secret}`)).toEqual([200, 'ok'])
  expect(await codeWith(`Bearer ${secret.slice(0, -1)}~`)).toEqual([401, 'unauthenticated'])
  const wrong = `${secret.slice(0, 16)}${createKey().secret.slice(16)}`
  expect(await codeWith(`Bearer ${wrong}`)).toEqual([401, 'unauthenticated'])

  await harness.db.apiKey.update({ where: { id: apiKey.id }, data: { expiresAt: new Date(0) } })
  expect(await codeWith(`Bearer ${secret}`)).toEqual([401, 'unauthenticated'])
})

test('a revoked key is refused from then on, here and in the catalog', async () => {
  const { secret, apiKey } = await newKey()
  const revoke = `mutation { revokeApiKey(id: "${apiKey.id}") {
    ... on RevokeApiKeyPayload { apiKey { revokedAt } } ... on ProblemError { code }
  } }`
  const first = (await harness.graphql(revoke, {}, key)).data?.revokeApiKey
  expect(Date.parse(first.apiKey.revokedAt)).toBeGreaterThan(0)
  expect(await codeWith(`Bearer ${secret}`)).toEqual([401, 'unauthenticated'])
  expect(await (await harness.bus.records(apiKeyRecords)).get(apiKey.prefix)).toBeNull()
  expect((await harness.graphql(revoke, {}, key)).data?.revokeApiKey).toEqual(first)
})

test('the keys of a suspended tenant are refused', async () => {
  const { admin } = await harness.createTenant('late-payer')
  await harness.db.tenant.update({ where: { slug: 'late-payer' }, data: { suspended: true } })
  expect(await codeWith(`Bearer ${admin}`)).toEqual([403, 'forbidden'])
})

test.each([
  [{ scopes: [] }, 'invalid_request', 'scopes'],
  [{ name: ' ' }, 'invalid_request', 'name'],
  [{ expiresAt: '2020-01-01T00:00:00Z' }, 'invalid_request', 'expiresAt'],
  [{ tenant: 'nobody' }, 'not_found', 'tenant'],
])('createApiKey refuses %j', async (changes, code, field) => {
  expect(await newKey(changes)).toMatchObject({ code, field })
})

test('hashes are compared whole', () => {
  expect(isSameHash('ab', 'ab')).toBe(true)
  expect(isSameHash('ab', 'ac')).toBe(false)
  expect(isSameHash('ab', 'abc')).toBe(false)
})

test('a NATS credential reaches its own tenant and nothing else', async () => {
  const input = { tenant: 'acme', name: 'laptop' }
  const issued = await harness.mutate('createNatsCredential', input, 'creds inboxPrefix', key)
  expect(issued.inboxPrefix).toBe(tenantInboxPrefix('acme'))
  const gateway = await connectBus({
    url: nats.url,
    credentials: (
      await issueCredentials(authority.accountSeed, {
        name: 'gateway',
        permissions: rolePermissions('gateway'),
      })
    ).creds,
  })
  const tenant = await connectBus({ url: nats.url, credentials: issued.creds })
  const seen: string[] = []
  gateway.serve(channels.models('*'), (_, { subject }) => {
    seen.push(subject)
    return { type: 'models' as const, data: [] }
  })
  await gateway.flush()
  const ask = (slug: string) =>
    tenant.request(channels.models(slug), { apiKey: 'k' }, { timeoutMs: 2_000 })
  expect(await ask('acme')).toEqual({ type: 'models', data: [] })
  await expect(ask('other')).rejects.toThrow()
  expect(seen).toEqual(['punica.v1.acme.models'])
  await tenant.close()
  await gateway.close()
})

test('an operator key of the settings replaces the one before', async () => {
  const [first, second] = [createKey().secret, createKey().secret]
  await seedOperatorKey(harness.db, first)
  await seedOperatorKey(harness.db, first)
  expect(await codeWith(`Bearer ${first}`)).toEqual([200, 'ok'])
  await seedOperatorKey(harness.db, second)
  expect(await codeWith(`Bearer ${first}`)).toEqual([401, 'unauthenticated'])
  expect(await codeWith(`Bearer ${second}`)).toEqual([200, 'ok'])
})
