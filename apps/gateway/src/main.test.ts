import { type ChildProcess, fork } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Bus, connectBus, createAuthority, issueCredentials } from '@punica/bus'
import { startNatsServer, type TestNatsServer } from '@punica/bus/testing'
import {
  ApiEvent,
  channels,
  type Permissions,
  rolePermissions,
  tenantPermissions,
} from '@punica/schema'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createFakePool, createMailbox } from './testing/fake-pool.ts'
import { apiKeyOf, modelFolder, putCatalog } from './testing/fixtures.ts'
import { tokenizer } from './testing/start-gateway.ts'

const authority = await createAuthority()
let nats: TestNatsServer
let folder = ''
let operator: Bus
let tenant: Bus

const credentialsOf = async (name: string, permissions: Permissions): Promise<string> =>
  (await issueCredentials(authority.accountSeed, { name, permissions })).creds

const connect = async (name: string, permissions: Permissions): Promise<Bus> =>
  connectBus({ url: nats.url, credentials: await credentialsOf(name, permissions) })

beforeAll(async () => {
  nats = await startNatsServer({ authority })
  folder = await mkdtemp(join(tmpdir(), 'punica-gateway-'))
  const credentials = await credentialsOf('gateway', rolePermissions('gateway'))
  await writeFile(join(folder, 'gateway.creds'), credentials)
  operator = await connect('operator', rolePermissions('operator'))
  tenant = await connect('acme', tenantPermissions('acme'))
  await putCatalog(operator)
})
afterAll(async () => {
  await tenant.close()
  await operator.close()
  await nats.stop()
  await rm(folder, { recursive: true })
})

const start = (changes: NodeJS.ProcessEnv = {}): ChildProcess =>
  fork(fileURLToPath(new URL('./main.ts', import.meta.url)), {
    execArgv: ['--import', 'tsx'],
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    env: {
      PATH: '/usr/bin:/bin',
      LOG_LEVEL: 'silent',
      NATS_URL: nats.url,
      NATS_CREDS: join(folder, 'gateway.creds'),
      MODEL_FOLDER: modelFolder,
      BASE_MODEL: 'base',
      GATEWAY_ID: 'gw',
      PORT: '0',
      ...changes,
    },
  })

const untilReady = (child: ChildProcess): Promise<{ url: string; port: number }> =>
  new Promise((resolve, reject) => {
    child.once('message', (facts: { url: string; port: number }) => resolve(facts))
    child.once('exit', (code) => reject(new Error(`ended with ${code}`)))
  })

const untilExit = (child: ChildProcess): Promise<number | null> =>
  new Promise((resolve) => child.once('exit', resolve))

test('the process serves both faces with its own credentials, and stops when told to', async () => {
  const pool = createFakePool(operator, 'gw')
  const node = pool.node('n1')
  await operator.flush()
  const answer = async (text: string): Promise<void> => {
    const task = await pool.nextTask()
    const tokens = tokenizer.encode(text)
    node.send({ task, tokens, from: 0 }, { task, end: 'stop', numTokens: tokens.length })
  }
  const child = start()
  const { url, port } = await untilReady(child)
  expect(url).toBe(`http://127.0.0.1:${port}`)
  expect((await fetch(`${url}/ready`)).status).toBe(200)

  const body = { model: 'poet', messages: [{ role: 'user', content: 'Hi' }] }
  const [response] = await Promise.all([
    fetch(`${url}/v1/chat/completions`, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${apiKeyOf('acme')}`,
        'content-type': 'application/json',
      },
      body: JSON.stringify(body),
    }),
    answer('over HTTP'),
  ])
  expect((await response.json()).choices[0].message.content).toBe('over HTTP')

  const replyTo = tenant.inbox()
  const events = createMailbox<ApiEvent>()
  tenant.subscribe({ subject: replyTo, schema: ApiEvent }, events.put)
  const call = { type: 'chat' as const, id: 'c', apiKey: apiKeyOf('acme'), body }
  tenant.publish(channels.generate('acme'), call, { replyTo })
  await answer('over NATS')
  let text = ''
  for (let event = await events.take(); event.type !== 'done'; event = await events.take()) {
    if (event.type === 'delta') text += event.text
  }
  expect(text).toBe('over NATS')

  const exited = untilExit(child)
  child.kill('SIGTERM')
  expect(await exited).toBe(0)
})

test('wrong settings are refused at once', async () => {
  expect(await untilExit(start({ PORT: 'x' }))).toBe(2)
  expect(await untilExit(start({ MODEL_FOLDER: '/nowhere' }))).toBe(1)
})
