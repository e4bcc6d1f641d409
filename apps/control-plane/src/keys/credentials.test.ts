import { connectBus, connectNats } from '@punica/bus'
import { apiKeyRecords, channels, tenantRecords } from '@punica/schema'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Harness, type Payload, startHarness } from '../testing/harness.ts'
import { startNats, type TestNats } from '../testing/nats.ts'

let nats: TestNats
let harness: Harness
let admin = ''
beforeAll(async () => {
  nats = await startNats()
  const { accountSeed: natsAccountSeed } = nats.authority
  const bus = await nats.connect('control-plane')
  harness = await startHarness({ bus, natsAccountSeed, accountClaims: nats.accountClaims })
  admin = (await harness.createTenant('acme')).admin
})
afterAll(async () => {
  await harness.stop()
  await harness.bus.close()
  await nats.stop()
})

const issue = async (): Promise<{ natsCredential: { id: string }; creds: string }> =>
  harness.mutate(
    'createNatsCredential',
    { tenant: 'acme', name: 'laptop' },
    'creds natsCredential { id }',
    admin,
  )

const revoke = (id: string): Promise<Payload> =>
  harness.mutate('revokeNatsCredential', { id }, 'natsCredential { state revokedAt }', admin)

const isLetIn = async (credentials: string): Promise<boolean> => {
  try {
    await (await connectNats({ url: nats.server.url, credentials })).close()
    return true
  } catch {
    return false
  }
}

test('a revoked NATS credential loses its connection at once, and stays out after a restart', async () => {
  const [first, second, other] = [await issue(), await issue(), await issue()]
  const open = await connectNats({ url: nats.server.url, credentials: first.creds })
  const closed = (async () => {
    for await (const { type } of open.status()) if (type === 'disconnect') return
  })()
  const beside = await connectNats({ url: nats.server.url, credentials: other.creds })
  const revoked = await revoke(first.natsCredential.id)
  expect(revoked.natsCredential.state).toBe('REVOKED')
  await closed
  await open.close()
  // Two within one second, by whose clock the server tells claims apart.
  await revoke(second.natsCredential.id)
  expect(await isLetIn(first.creds)).toBe(false)
  expect(await isLetIn(second.creds)).toBe(false)
  expect(await revoke(first.natsCredential.id)).toEqual(revoked)

  await beside.flush()
  expect(beside.isClosed()).toBe(false)
  await beside.close()

  await nats.server.kill()
  await nats.server.start()
  expect(await isLetIn(first.creds)).toBe(false)
  expect(await isLetIn(second.creds)).toBe(false)
  expect(await isLetIn(other.creds)).toBe(true)
})

test('what a server has lost of the revocations comes back by a rebuild', async () => {
  const { natsCredential, creds } = await issue()
  await revoke(natsCredential.id)
  await nats.accountClaims.revoke({})
  expect(await isLetIn(creds)).toBe(true)
  const { data } = await harness.graphql(
    'mutation { rebuildCatalog { ... on RebuildCatalogPayload { changed } } }',
  )
  expect(data?.rebuildCatalog.changed).toBe(1)
  expect(await isLetIn(creds)).toBe(false)
})

const roleWith = async (key: string): Promise<string> => {
  const { data, errors } = await harness.graphql('{ viewer { role keyPrefix } }', {}, key)
  return data?.viewer.role ?? errors?.[0]?.extensions.code
}

const newKey = (changes: Record<string, unknown> = {}) =>
  harness.mutate(
    'createApiKey',
    { tenant: 'acme', name: 'k', scopes: ['ADMIN'], ...changes },
    'secret apiKey { id prefix }',
  )

const rotate = (id: string, overlapSeconds: number, by?: string) => {
  const key = '{ id prefix name scopes state expiresAt revokedAt }'
  const fields = `secret apiKey ${key} replaced ${key}`
  return harness.mutate('rotateApiKey', { id, overlapSeconds }, fields, by)
}

test('a rotated key and the new one both hold for the overlap', async () => {
  const expiresAt = new Date(Date.now() + 3600_000).toISOString()
  const { secret, apiKey } = await newKey({ name: 'ci', expiresAt })
  const rotated = await rotate(apiKey.id, 60, admin)
  expect(rotated.apiKey).toMatchObject({ name: 'ci', scopes: ['ADMIN'], state: 'ACTIVE' })
  const left = Date.parse(rotated.replaced.expiresAt) - Date.now()
  expect(left).toBeGreaterThan(0)
  expect(left).toBeLessThanOrEqual(60_000)
  expect([await roleWith(secret), await roleWith(rotated.secret)]).toEqual([
    'TENANT_ADMIN',
    'TENANT_ADMIN',
  ])
  const records = await harness.bus.records(apiKeyRecords)
  const old = (await records.get(apiKey.prefix))?.value
  expect(old?.expiresAtMs).toBe(Date.parse(rotated.replaced.expiresAt))
  expect((await records.get(rotated.apiKey.prefix))?.value.scopes).toEqual(['admin'])

  const last = await rotate(rotated.apiKey.id, 0)
  expect(await roleWith(rotated.secret)).toBe('unauthenticated')
  expect(await roleWith(last.secret)).toBe('TENANT_ADMIN')
  expect(await records.get(rotated.apiKey.prefix)).toBeNull()
  expect(await rotate(rotated.apiKey.id, 0)).toMatchObject({ code: 'conflict', field: 'id' })
  expect(await rotate(last.apiKey.id, -1)).toMatchObject({ field: 'overlapSeconds' })
})

test('operators make more operators’ keys, and tenants none', async () => {
  const { secret } = await newKey({ tenant: null, scopes: [] })
  expect(await roleWith(secret)).toBe('OPERATOR')
  expect(await newKey({ tenant: null })).toMatchObject({ code: 'invalid_request', field: 'scopes' })
  const input = { name: 'mine', scopes: [] }
  expect(await harness.mutate('createApiKey', input, 'secret', admin)).toMatchObject({
    code: 'forbidden',
  })
})

test('a suspended tenant is refused here and in the catalog until it is resumed', async () => {
  const { admin: key } = await harness.createTenant('late')
  const tenants = await harness.bus.records(tenantRecords)
  const fields = 'tenant { suspended suspendedReason }'
  const suspended = await harness.mutate(
    'suspendTenant',
    { slug: 'late', reason: 'unpaid' },
    fields,
  )
  expect(suspended.tenant).toEqual({ suspended: true, suspendedReason: 'unpaid' })
  expect(await roleWith(key)).toBe('forbidden')
  expect((await tenants.get('late'))?.value.suspended).toBe(true)
  await harness.mutate('resumeTenant', { slug: 'late' }, fields)
  expect(await roleWith(key)).toBe('TENANT_ADMIN')
  expect((await tenants.get('late'))?.value.suspended).toBe(false)
})

test('quotas and weight reach the catalog; what is left out stays', async () => {
  const tenants = await harness.bus.records(tenantRecords)
  const fields = 'tenant { weight maxTokensPerMinute maxConcurrentRequests }'
  const change = (input: object) =>
    harness.mutate('updateTenant', { slug: 'acme', ...input }, fields)
  await change({ weight: 2.5, maxTokensPerMinute: 1000 })
  await change({ maxConcurrentRequests: 4, maxTokensPerMinute: null })
  expect((await tenants.get('acme'))?.value).toMatchObject({
    weight: 2.5,
    maxTokensPerMinute: null,
    maxConcurrentRequests: 4,
  })
  expect(await change({ weight: -1 })).toMatchObject({ field: 'weight' })
  const filter = '{ action: "updateTenant", outcome: "ok" }'
  const { data } = await harness.graphql(
    `{ auditEvents(filter: ${filter}, first: 1) { edges { node { target tenant role } } } }`,
  )
  expect(data?.auditEvents.edges[0].node).toEqual({
    target: 'maxConcurrentRequests=4 maxTokensPerMinute=none',
    tenant: 'acme',
    role: 'OPERATOR',
  })
})

test('the use of a key is kept, here and at a gateway', async () => {
  const here = await newKey()
  await roleWith(here.secret)
  const there = await newKey()
  const gateway = await connectBus({
    url: nats.server.url,
    credentials: await nats.credentialsOf('gateway'),
  })
  gateway.publish(channels.keysUsed, { timeMs: Date.now(), prefixes: [there.apiKey.prefix] })
  await gateway.flush()
  await gateway.close()
  for (const { apiKey } of [here, there]) {
    const lastUsedAt = async () =>
      (await harness.db.apiKey.findUniqueOrThrow({ where: { id: apiKey.id } })).lastUsedAt
    await expect.poll(lastUsedAt, { timeout: 20_000 }).toBeInstanceOf(Date)
  }
})
