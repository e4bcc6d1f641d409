import { type ChildProcess, fork } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { Bus } from '@punica/bus'
import { apiKeyRecords, tenantRecords } from '@punica/schema'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { findDifferences } from './catalog/reconcile.ts'
import { type Database, openDatabase } from './db/database.ts'
import { createKey } from './keys/api-key.ts'
import { models } from './testing/harness.ts'
import { startNats, type TestNats } from './testing/nats.ts'
import { startPostgres, type TestPostgres } from './testing/postgres.ts'

/** Another seed kills at other moments. */
const seed = 20_261_124
const numKills = 4

const operatorKey = createKey().secret
let nats: TestNats
let postgres: TestPostgres
let folder = ''
let bus: Bus
let db: Database

beforeAll(async () => {
  ;[nats, postgres] = await Promise.all([startNats(), startPostgres()])
  folder = await mkdtemp(join(tmpdir(), 'punica-crash-'))
  await writeFile(join(folder, 'control-plane.creds'), await nats.credentialsOf('control-plane'))
  await writeFile(join(folder, 'system.creds'), nats.systemCredentials)
  bus = await nats.connect('operator')
  db = openDatabase({ url: postgres.url })
})
afterAll(async () => {
  await db.$disconnect()
  await bus.close()
  await Promise.all([nats.stop(), postgres.stop(), rm(folder, { recursive: true })])
})

type Service = { child: ChildProcess; url: string }

const start = async (): Promise<Service> => {
  const child = fork(fileURLToPath(new URL('./main.ts', import.meta.url)), {
    execArgv: ['--import', 'tsx'],
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    env: {
      PATH: '/usr/bin:/bin',
      LOG_LEVEL: 'silent',
      DATABASE_URL: postgres.url,
      NATS_URL: nats.server.url,
      NATS_CREDS: join(folder, 'control-plane.creds'),
      NATS_ACCOUNT_SEED: nats.authority.accountSeed,
      NATS_OPERATOR_SEED: nats.authority.operatorSeed,
      NATS_SYSTEM_CREDS: join(folder, 'system.creds'),
      OPERATOR_KEY: operatorKey,
      MODEL_FOLDER: `${models}/base`,
      BASE_MODEL: 'demo',
      PORT: '0',
    },
  })
  const url = await new Promise<string>((resolve, reject) => {
    child.once('message', (message: { url: string }) => resolve(message.url))
    child.once('exit', (code) => reject(new Error(`ended with ${code}`)))
  })
  return { child, url }
}

const end = async ({ child }: Service, signal: NodeJS.Signals): Promise<void> => {
  const ended = new Promise((resolve) => child.once('exit', resolve))
  child.kill(signal)
  await ended
}

const random = (() => {
  let state = seed
  return (below: number): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state % below
  }
})()

/** What was answered to have been done. */
const done = {
  tenants: new Set<string>(),
  suspended: new Set<string>(),
  revoked: new Set<string>(),
}

/** Asks for one change; null: no answer came. */
const mutate = async (url: string, field: string) => {
  try {
    const response = await fetch(`${url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${operatorKey}` },
      body: JSON.stringify({ query: `mutation { result: ${field} }` }),
    })
    return (await response.json()).data?.result ?? null
  } catch {
    return null
  }
}

/** A tenant's whole life, over and over, until the service does not answer any more. */
const change = async (url: string, name: string, signal: AbortSignal): Promise<void> => {
  for (let i = 0; !signal.aborted; i++) {
    const slug = `${name}-${i}`
    const input = `{ slug: "${slug}", name: "${slug}" }`
    const made = await mutate(
      url,
      `createTenant(input: ${input}) { ... on CreateTenantPayload { tenant { id } } }`,
    )
    if (made?.tenant === undefined) return
    done.tenants.add(slug)
    const keyInput = `{ tenant: "${slug}", name: "k", scopes: [GENERATE] }`
    const key = await mutate(
      url,
      `createApiKey(input: ${keyInput}) { ... on CreateApiKeyPayload { apiKey { id } } }`,
    )
    if (key?.apiKey === undefined) return
    const rotated = await mutate(
      url,
      `rotateApiKey(input: { id: "${key.apiKey.id}", overlapSeconds: 0 }) { ... on RotateApiKeyPayload { replaced { prefix } } }`,
    )
    if (rotated?.replaced === undefined) return
    done.revoked.add(rotated.replaced.prefix)
    const suspended = await mutate(
      url,
      `suspendTenant(input: { slug: "${slug}" }) { ... on SuspendTenantPayload { tenant { id } } }`,
    )
    if (suspended?.tenant === undefined) return
    done.suspended.add(slug)
  }
}

test('two control planes, one of them killed again and again, leave a consistent whole', async () => {
  const steady = await start()
  const stop = new AbortController()
  const beside = change(steady.url, 'steady', stop.signal)
  for (let kill = 0; kill < numKills; kill++) {
    const victim = await start()
    const work = ['a', 'b', 'c'].map((name) => change(victim.url, `${name}${kill}`, stop.signal))
    await sleep(50 + random(600))
    await end(victim, 'SIGKILL')
    await Promise.all(work)
  }
  stop.abort()
  await beside
  // What the killed ones left undone, the other does, without being told.
  const pending = () => db.outboxEntry.count()
  await expect.poll(pending, { timeout: 30_000 }).toBe(0)
  expect(await findDifferences(db, bus)).toEqual([])

  const tenants = await db.tenant.findMany()
  const slugs = tenants.map(({ slug }) => slug)
  expect(slugs).toEqual(expect.arrayContaining([...done.tenants]))
  expect(done.tenants.size).toBeGreaterThan(numKills)
  const events = await db.auditEvent.findMany({ where: { action: 'createTenant', outcome: 'ok' } })
  expect(events.map(({ tenant }) => tenant).toSorted()).toEqual(slugs.toSorted())
  const records = await bus.records(tenantRecords)
  for (const slug of done.suspended) expect((await records.get(slug))?.value.suspended).toBe(true)
  const keys = await bus.records(apiKeyRecords)
  for (const prefix of done.revoked) expect(await keys.get(prefix)).toBeNull()
  // A rotation is whole: the old key is revoked if and only if there is a new one.
  for (const { id } of tenants) {
    const ofTenant = await db.apiKey.findMany({ where: { tenantId: id } })
    const numActive = ofTenant.filter(({ revokedAt }) => revokedAt === null).length
    expect(numActive).toBe(ofTenant.length === 0 ? 0 : 1)
  }
  await end(steady, 'SIGTERM')
}, 240_000)
