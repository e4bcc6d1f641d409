import { type ChildProcess, fork } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { type Bus, connectBus, connectNats } from '@punica/bus'
import { startNatsServer, type TestNatsServer } from '@punica/bus/testing'
import { natsObjectStore, type ObjectStore } from '@punica/object-store'
import { channels } from '@punica/schema'
import { pino } from '@punica/service'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { findDifferences } from '../catalog/reconcile.ts'
import { type Database, openDatabase } from '../db/database.ts'
import { createKey } from '../keys/api-key.ts'
import { createInventory } from '../nodes/inventory.ts'
import { models, type Payload } from '../testing/harness.ts'
import { nodeStatus } from '../testing/node-status.ts'
import { startPostgres, type TestPostgres } from '../testing/postgres.ts'
import { config, weights } from '../testing/uploads.ts'
import { sweepObjects } from './sweep-objects.ts'

// A control plane that is killed again and again, at points that follow from the seed, under a
// client that only ever asks again for what it was not answered.

const seed = Number(process.env.CRASH_SEED ?? 1)
const numRounds = 2
/** Where the process is killed: when a call begins, or when so many parts of the large file are kept. */
const points = [
  'open bot',
  'adapter_config.json',
  'publishAdapter',
  'setAdapterAlias',
  'archiveAdapterVersion',
  '1 parts',
  '2 parts',
  '3 parts',
]
const killsPerRound = points.length / numRounds
const key = createKey().secret

/** Mulberry32: the same kills for the same seed, as far as the machine plays along. */
let state = seed
const random = (below: number): number => {
  state = (state + 0x6d2b79f5) | 0
  let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
  mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
  return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * below)
}

let postgres: TestPostgres
let nats: TestNatsServer
let bus: Bus
let db: Database
let store: ObjectStore
const closers: (() => unknown)[] = []
beforeAll(async () => {
  postgres = await startPostgres()
  nats = await startNatsServer()
  bus = await connectBus({ url: nats.url })
  const connection = await connectNats({ url: nats.url })
  store = await natsObjectStore(connection)
  db = openDatabase({ url: postgres.url })
  // The node that tries adapters.
  bus.serve(channels.probe('n1'), () => ({
    type: 'passed' as const,
    report: { maxLogprobChange: 1, changedTokens: 1, numTokens: 1 },
  }))
  const report = { type: 'status' as const, status: nodeStatus('n1', { requests: [] }) }
  const beats = setInterval(() => bus.publish(channels.nodeEvents('default'), report), 200)
  closers.push(
    () => clearInterval(beats),
    () => bus.close(),
    () => connection.close(),
    () => db.$disconnect(),
    () => nats.stop(),
    () => postgres.stop(),
  )
})
afterAll(async () => {
  running?.kill('SIGKILL')
  for (const close of closers) await close()
})

let running: ChildProcess | undefined
let ready: Promise<string> = Promise.resolve('')

const start = (): void => {
  const child = fork(fileURLToPath(new URL('../main.ts', import.meta.url)), {
    execArgv: ['--import', 'tsx'],
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    env: {
      PATH: '/usr/bin:/bin',
      LOG_LEVEL: 'silent',
      DATABASE_URL: postgres.url,
      NATS_URL: nats.url,
      OPERATOR_KEY: key,
      MODEL_FOLDER: `${models}/base`,
      BASE_MODEL: 'demo',
      PORT: '0',
    },
  })
  running = child
  ready = new Promise((resolve, reject) => {
    child.once('message', ({ url }: { url: string }) => resolve(url))
    child.once('exit', (code) => reject(new Error(`ended with ${code}`)))
  })
  // It may be killed before it is ready.
  ready.catch(() => {})
}

/** Points of this round at which the process is still to be killed. */
const wanted = new Set<string>()
let kills = Promise.resolve()
let numKills = 0

/** To be called whenever the client gets to a point, before it goes on. */
const reach = (point: string): void => {
  if (!wanted.delete(point)) return
  const delayMs = random(150)
  kills = kills.then(() => sleep(delayMs)).then(killAndStart)
}

const killAndStart = async (): Promise<void> => {
  numKills++
  const child = running
  const exited = new Promise((resolve) => child?.once('exit', resolve))
  child?.kill('SIGKILL')
  await exited
  start()
}

/** Asks again until there is an answer, of whichever process. */
const persist = async <T>(call: (url: string) => Promise<T>): Promise<T> => {
  for (;;) {
    const url = await ready.catch(() => null)
    if (url === null) {
      await sleep(20)
      continue
    }
    const answer = await call(url).catch((cause: unknown) => {
      // The connection broke, and with it whatever was under way.
      if (cause instanceof TypeError) return null
      throw cause
    })
    if (answer !== null) return answer
  }
}

const mutate = (name: string, input: object, fields: string): Promise<Payload> =>
  persist(async (url) => {
    reach(name)
    const type = `${name.charAt(0).toUpperCase()}${name.slice(1)}`
    const response = await fetch(`${url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${key}` },
      body: JSON.stringify({
        query: `mutation ($input: ${type}Input!) { ${name}(input: $input) {
          ... on ${type}Payload { ${fields} } ... on ProblemError { code message } } }`,
        variables: { input },
      }),
    })
    const { data, errors } = await response.json()
    if (errors !== undefined) throw new Error(JSON.stringify(errors))
    return data[name]
  })

const headers = { authorization: `Bearer ${key}` }

/** Puts a file, going on from wherever it is after each break. */
const putFile = async (uploadId: string, name: string, data: Uint8Array): Promise<Payload> =>
  persist(async (url) => {
    reach(name)
    const file = `${url}/uploads/${uploadId}/${name}`
    const head = await fetch(file, { method: 'HEAD', headers })
    const offset = Number(head.headers.get('upload-offset'))
    if (head.headers.get('upload-complete') === '?1') return { sizeBytes: offset }
    const isDone = offset === data.length
    const range = isDone ? '*' : `${offset}-${data.length - 1}`
    const response = await fetch(file, {
      method: 'PUT',
      headers: { ...headers, 'content-range': `bytes ${range}/${data.length}` },
      body: Buffer.from(data.subarray(offset)),
    })
    const answer = await response.json()
    if (response.status !== 200) throw new Error(`PUT ${name}: ${JSON.stringify(answer)}`)
    return answer
  })

const open = async (name: string): Promise<string> => {
  reach(`open ${name}`)
  const input = { tenant: 'acme', name, baseModel: 'demo' }
  return (await mutate('createAdapterUpload', input, 'upload { id }')).upload.id
}

const uploadLarge = async (data: Uint8Array): Promise<string> => {
  const uploadId = await open('large')
  let isDone = false
  const watch = async (): Promise<void> => {
    while (!isDone) {
      const numParts = await db.incomingPart.count({ where: { uploadId } })
      for (let n = 1; n <= numParts; n++) reach(`${n} parts`)
      await sleep(5)
    }
  }
  const watching = watch()
  await putFile(uploadId, 'adapter_model.safetensors', data)
  isDone = true
  await watching
  return uploadId
}

const of = { tenant: 'acme', name: 'bot' }

/** Version n of the adapter, published, shared out, taken back; the one before is archived. */
const publishVersion = async (n: number): Promise<void> => {
  const id = await open(of.name)
  await putFile(id, 'adapter_config.json', Buffer.from(`${config}${' '.repeat(n)}`))
  await putFile(id, 'adapter_model.safetensors', weights)
  const { version } = await mutate(
    'publishAdapter',
    { uploadId: id, weight: 0.5 },
    'version { version }',
  )
  expect(version.version).toBe(n)
  const aliasFields = 'alias { revision targets { version } }'
  await mutate('setAdapterAlias', { ...of, targets: [{ version: n }] }, aliasFields)
  if (n === 1) return
  await mutate('setAdapterAlias', { ...of, alias: 'next', targets: [{ version: n }] }, aliasFields)
  await mutate('archiveAdapterVersion', { ...of, version: n - 1 }, 'version { archivedAt }')
}

test(`survives kill -9 at any point of uploads and mutations (CRASH_SEED=${seed})`, {
  timeout: 300_000,
}, async () => {
  start()
  await mutate('createTenant', { slug: 'acme', name: 'Acme' }, 'tenant { id }')
  const large: { id: string; data: Uint8Array }[] = []
  const order = points.map((point) => ({ point, at: random(2 ** 30) })).sort((a, b) => a.at - b.at)
  for (let round = 1; round <= numRounds; round++) {
    for (const { point } of order.splice(0, killsPerRound)) wanted.add(point)
    const data = randomBytes(20_000_000)
    const [id] = await Promise.all([uploadLarge(data), publishVersion(round)])
    large.push({ id, data })
  }
  await kills
  // A part may come and go between two looks, and the first version archives none.
  expect(numKills).toBeGreaterThan(points.length / 2)

  // What the database says, the catalog says.
  await ready
  await expect.poll(() => db.outboxEntry.count(), { timeout: 30_000 }).toBe(0)
  expect(await findDifferences(db, bus)).toEqual([])
  const adapter = await db.adapter.findFirstOrThrow({
    where: { name: of.name },
    include: { versions: { include: { files: true }, orderBy: { version: 'asc' } } },
  })
  const numbers = adapter.versions.map(({ version }) => version)
  expect(numbers).toEqual(Array.from({ length: numRounds }, (_, i) => i + 1))
  expect(adapter.versions.map(({ archivedAt }) => archivedAt === null)).toEqual(
    numbers.map((version) => version === numRounds),
  )

  // Every byte that was answered for is there.
  for (const { id, data } of large) {
    const digest = createHash('sha256').update(data).digest('hex')
    const file = await db.uploadedFile.findFirst({ where: { uploadId: id } })
    expect(file).toMatchObject({ digest, sizeBytes: BigInt(data.length) })
    expect(await sizeOf(digest)).toBe(data.length)
  }
  for (const { files } of adapter.versions) {
    for (const { digest, sizeBytes } of files) expect(await sizeOf(digest)).toBe(Number(sizeBytes))
  }

  // What the killed ones left goes, and nothing else.
  const aged: typeof store.head = async (digest) => {
    const found = await store.head(digest)
    return found && { ...found, storedAtMs: 0 }
  }
  await sweepObjects({
    db,
    store: { ...store, head: aged, sweep: () => store.sweep({ idleMs: 0 }) },
    inventory: createInventory(),
    log: pino({ level: 'silent' }),
  })
  const left: string[] = []
  for await (const digest of store.list()) left.push(digest)
  expect(left.toSorted()).toEqual((await findNeeded()).toSorted())
  expect(await store.sweep({ idleMs: 0 })).toBe(0)
})

/** Reads the object, whose digest is checked on the way. */
const sizeOf = async (digest: string): Promise<number> => {
  let sizeBytes = 0
  for await (const chunk of store.get(digest)) sizeBytes += chunk.length
  return sizeBytes
}

const findNeeded = async (): Promise<string[]> => {
  const open = { upload: { versionId: null } }
  const rows = [
    ...(await db.uploadedFile.findMany({ where: open })),
    ...(await db.incomingPart.findMany()),
    ...(await db.adapterFile.findMany()),
  ]
  return [...new Set(rows.map(({ digest }) => digest))]
}
