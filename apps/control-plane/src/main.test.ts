import { type ChildProcess, fork } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { connectBus, createAuthority, issueCredentials } from '@punica/bus'
import { keysOf, startNatsServer, type TestNatsServer } from '@punica/bus/testing'
import { rolePermissions, tenantRecords } from '@punica/schema'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createKey } from './keys/api-key.ts'
import { models } from './testing/harness.ts'
import { startPostgres, type TestPostgres } from './testing/postgres.ts'

const authority = await createAuthority()
const operatorKey = createKey().secret
let postgres: TestPostgres
let nats: TestNatsServer
let folder = ''
let credentials = ''

beforeAll(async () => {
  postgres = await startPostgres()
  nats = await startNatsServer({ authority })
  folder = await mkdtemp(join(tmpdir(), 'punica-control-plane-'))
  const permissions = rolePermissions('control-plane')
  const request = { name: 'control-plane', permissions }
  credentials = (await issueCredentials(authority.accountSeed, request)).creds
  await writeFile(join(folder, 'control-plane.creds'), credentials)
})
afterAll(async () => {
  await nats.stop()
  await postgres.stop()
  await rm(folder, { recursive: true })
})

const start = (changes: NodeJS.ProcessEnv = {}): ChildProcess =>
  fork(fileURLToPath(new URL('./main.ts', import.meta.url)), {
    execArgv: ['--import', 'tsx'],
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    env: {
      PATH: '/usr/bin:/bin',
      LOG_LEVEL: 'silent',
      DATABASE_URL: postgres.url,
      NATS_URL: nats.url,
      NATS_CREDS: join(folder, 'control-plane.creds'),
      NATS_ACCOUNT_SEED: authority.accountSeed,
      OPERATOR_KEY: operatorKey,
      MODEL_FOLDER: `${models}/base`,
      BASE_MODEL: 'demo',
      PORT: '0',
      ...changes,
    },
  })

const untilReady = (child: ChildProcess): Promise<{ url: string }> =>
  new Promise((resolve, reject) => {
    child.once('message', (message: { url: string }) => resolve(message))
    child.once('exit', (code) => reject(new Error(`ended with ${code}`)))
  })

const untilExit = (child: ChildProcess): Promise<number | null> =>
  new Promise((resolve) => child.once('exit', resolve))

const graphql = async (url: string, query: string) => {
  const response = await fetch(`${url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${operatorKey}` },
    body: JSON.stringify({ query }),
  })
  return response.json()
}

const createTenant = (slug: string): string =>
  `mutation { createTenant(input: { slug: "${slug}", name: "${slug}" }) { __typename } }`

test('the process migrates, serves, survives a kill, and stops when told to', async () => {
  const first = start()
  const { url } = await untilReady(first)
  expect(await graphql(url, createTenant('acme'))).toEqual({
    data: { createTenant: { __typename: 'CreateTenantPayload' } },
  })
  const killed = untilExit(first)
  first.kill('SIGKILL')
  await killed

  const bus = await connectBus({ url: nats.url, credentials })
  const tenants = await bus.records(tenantRecords)
  expect(await keysOf(tenants)).toEqual(['acme'])
  await tenants.delete('acme')

  const second = start()
  const again = await untilReady(second)
  expect(await keysOf(tenants)).toEqual(['acme'])
  const { data } = await graphql(
    again.url,
    '{ tenants { edges { node { slug } } } baseModels { name pool } }',
  )
  expect(data).toEqual({
    tenants: { edges: [{ node: { slug: 'acme' } }] },
    baseModels: [{ name: 'demo', pool: 'default' }],
  })
  const stopped = untilExit(second)
  second.kill('SIGTERM')
  expect(await stopped).toBe(0)
  await bus.close()
})

test.each([
  ['a malformed operator key', { OPERATOR_KEY: 'secret' }, 2],
  ['a model folder without a name', { BASE_MODEL: undefined }, 2],
  ['a database that is not there', { DATABASE_URL: 'postgresql://punica@127.0.0.1:1/none' }, 1],
  ['a model folder that is not there', { MODEL_FOLDER: '/none' }, 1],
  ['a port that is taken', { PORT: 'taken' }, 1],
  ['credentials that are not there', { NATS_CREDS: '/none' }, 1],
])('%s ends it with an exit code', async (_, changes, code) => {
  const port = new URL(nats.url).port
  const env = 'PORT' in changes ? { PORT: port } : changes
  expect(await untilExit(start(env))).toBe(code)
})
