import { type Bus, connectBus, type Records } from '@punica/bus'
import { keysOf, startNatsServer, type TestNatsServer } from '@punica/bus/testing'
import {
  type AdapterRecord,
  adapterRecords,
  apiKeyRecords,
  baseModelRecords,
  type RecordKind,
  type TenantRecord,
  tenantRecords,
} from '@punica/schema'
import { pino } from '@punica/service'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Database, openDatabase } from '../db/database.ts'
import { migrate } from '../db/migrate.ts'
import { createKey } from '../keys/api-key.ts'
import { baseModel } from '../testing/harness.ts'
import { startPostgres, type TestPostgres } from '../testing/postgres.ts'
import { createProjector, type Projector } from './projector.ts'
import { findDifferences } from './reconcile.ts'
import { seedBaseModel } from './seed-base-model.ts'

const log = pino({ level: 'silent' })
let postgres: TestPostgres
let nats: TestNatsServer
let db: Database
let bus: Bus
let projector: Projector
let tenants: Records<TenantRecord>
let adapters: Records<AdapterRecord>

beforeAll(async () => {
  postgres = await startPostgres()
  nats = await startNatsServer()
  await migrate(postgres.url)
  db = openDatabase({ url: postgres.url })
  bus = await connectBus({ url: nats.url })
  projector = await createProjector({ db, bus, accountClaims: null, log })
  tenants = await bus.records(tenantRecords)
  adapters = await bus.records(adapterRecords)
})
afterAll(async () => {
  await projector.stop()
  await bus.close()
  await db.$disconnect()
  await nats.stop()
  await postgres.stop()
})

const addTenant = async (slug: string) => {
  const tenant = await db.tenant.create({ data: { slug, name: slug } })
  await db.outboxEntry.create({ data: { kind: 'tenant', key: slug } })
  return tenant
}

test('an entry is written by the time settle returns, and forgotten', async () => {
  await addTenant('one')
  await projector.settle()
  expect((await tenants.get('one'))?.value).toEqual({
    slug: 'one',
    suspended: false,
    weight: 1,
    maxConcurrentRequests: null,
    maxTokensPerMinute: null,
  })
  expect(await db.outboxEntry.count()).toBe(0)
})

test('what holds when it is written counts, not what held when the entry was made', async () => {
  await addTenant('two')
  await db.tenant.update({ where: { slug: 'two' }, data: { suspended: true } })
  await projector.settle()
  expect((await tenants.get('two'))?.value.suspended).toBe(true)
})

test('another control plane’s entries are found without being told', async () => {
  const written = new Promise<void>((resolve) => {
    void tenants.watch(({ key }) => {
      if (key === 'three') resolve()
    })
  })
  await addTenant('three')
  await written
})

test('many writers leave what holds', async () => {
  await addTenant('busy')
  const second = await createProjector({ db, bus, accountClaims: null, log })
  const weights = Array.from({ length: 20 }, (_, i) => i + 1)
  await Promise.all(
    weights.map(async (weight, i) => {
      await db.$transaction([
        db.tenant.update({ where: { slug: 'busy' }, data: { weight } }),
        db.outboxEntry.create({ data: { kind: 'tenant', key: 'busy' } }),
      ])
      await (i % 2 === 0 ? projector : second).settle()
    }),
  )
  await Promise.all([projector.settle(), second.settle()])
  await second.stop()
  const { weight } = await db.tenant.findUniqueOrThrow({ where: { slug: 'busy' } })
  expect((await tenants.get('busy'))?.value.weight).toBe(weight)
})

test('a rebuild restores what was lost, rights what is wrong, and removes what is gone', async () => {
  await seedBaseModel(db, baseModel)
  const tenant = await addTenant('owner')
  const other = await addTenant('guest')
  const key = { tenantId: tenant.id, name: 'key', scopes: ['GENERATE' as const] }
  const [valid, revoked, expired] = [createKey(), createKey(), createKey()]
  const past = new Date(Date.now() - 1)
  const identity = ({ prefix, hash }: { prefix: string; hash: string }) => ({ prefix, hash })
  await db.apiKey.create({ data: { ...key, ...identity(valid) } })
  await db.apiKey.create({ data: { ...key, ...identity(revoked), revokedAt: past } })
  await db.apiKey.create({ data: { ...key, ...identity(expired), expiresAt: past } })
  await db.apiKey.create({ data: { ...identity(createKey()), name: 'operator', scopes: [] } })
  const file = { digest: 'b'.repeat(64), sizeBytes: 10 }
  await db.adapter.create({
    data: {
      tenantId: tenant.id,
      name: 'bot-1.5_x',
      baseModelName: 'demo',
      grants: { create: { tenantId: other.id } },
      versions: {
        create: {
          version: 1,
          digest: 'a'.repeat(64),
          rank: 8,
          targetModules: ['q_proj'],
          numTensors: 2,
          sizeBytes: 123n,
          files: { create: [{ name: 'adapter_config.json', ...file }] },
        },
      },
    },
  })
  await db.outboxEntry.deleteMany()
  await tenants.put('gone', {
    slug: 'gone',
    suspended: false,
    weight: 1,
    maxConcurrentRequests: null,
    maxTokensPerMinute: null,
  })
  await tenants.put('owner', {
    slug: 'owner',
    suspended: true,
    weight: 9,
    maxConcurrentRequests: 1,
    maxTokensPerMinute: 1,
  })
  await projector.rebuild()

  const keys = async <T>(kind: RecordKind<T>) => keysOf(await bus.records(kind))
  expect(await keys(tenantRecords)).toEqual(['busy', 'guest', 'one', 'owner', 'three', 'two'])
  expect((await tenants.get('owner'))?.value.weight).toBe(1)
  expect(await keys(apiKeyRecords)).toEqual([valid.prefix])
  expect(await keys(baseModelRecords)).toEqual(['demo'])
  expect((await adapters.get('owner.bot-1.5_x'))?.value).toEqual({
    tenant: 'owner',
    name: 'bot-1.5_x',
    baseModel: 'demo',
    createdAtMs: expect.any(Number),
    versions: [
      {
        version: 1,
        digest: 'a'.repeat(64),
        rank: 8,
        sizeBytes: 123,
        files: [{ name: 'adapter_config.json', ...file }],
      },
    ],
    aliases: [],
    grants: ['guest'],
  })

  // Nothing differs any more.
  const before = await tenants.get('owner')
  await projector.rebuild()
  expect(await tenants.get('owner')).toEqual(before)
})

test('while NATS is away changes are kept, and written when it is back', async () => {
  await nats.kill()
  await addTenant('later')
  await projector.settle()
  expect(await db.outboxEntry.count()).toBe(1)
  await nats.start()
  await expect
    .poll(async () => (await tenants.get('later').catch(() => null))?.value.slug, {
      timeout: 30_000,
    })
    .toBe('later')
})

test('a comparison rests after every page, and ends when its rest does not', async () => {
  await projector.rebuild()
  const slugs = Array.from({ length: 120 }, (_, i) => `many-${i}`)
  await db.tenant.createMany({ data: slugs.map((slug) => ({ slug, name: slug })) })
  let numRests = 0
  const differences = await findDifferences(db, bus, async () => void numRests++)
  expect(differences.map(({ key }) => key).sort()).toEqual(slugs.sort())
  expect(numRests).toBeGreaterThanOrEqual(slugs.length / 50)
  const stop = new Error('stopped')
  await expect(findDifferences(db, bus, () => Promise.reject(stop))).rejects.toBe(stop)
})
