import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { type Bus, connectBus, connectNats } from '@punica/bus'
import {
  channels,
  type NodeStatus,
  patternOf,
  type Role,
  roles,
  type TokenBatch,
  tenantInboxPrefix,
} from '@punica/schema'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Control, createControl } from './support/control.ts'
import { scrape, sumOf } from './support/metrics.ts'
import { type System, startSystem } from './support/system.ts'
import { until } from './support/until.ts'

type Speaker = Role | 'tenant'
type Row = {
  /** Of the subject: its tenant, pool, node or gateway. */
  of: 'tenant' | 'pool' | 'node' | 'gateway' | 'nothing'
  /** Whose credentials may publish there; the operator's may everywhere. */
  speakers: readonly Speaker[]
  /** Processes that listen, by the beginning of their names. */
  listeners: readonly string[]
  /** What is well-formed and must not be obeyed, by the reason under which it is counted. */
  forged?: Readonly<Record<string, (hear: Heard) => unknown>>
}

/** What was overheard of the system that serves: enough to forge with. */
type Heard = { batch: TokenBatch; status: NodeStatus }

const adapterDigest = 'a'.repeat(64)
const usage = {
  requestId: 'forged',
  tenant: 'globex',
  adapterDigest,
  pool: 'default',
  gatewayId: 'gw',
  timeMs: 0,
  promptTokens: 1,
  completionTokens: 1_000_000,
  final: true,
}
const keyOf = (name: 'acme' | 'globex') => system.keys[name]
const chat = { model: 'sentiment', messages: [{ role: 'user', content: 'Hi' }] }
const call = (apiKey: string) => ({ type: 'chat', id: 'forged', apiKey, body: chat })

/** Every channel has a row: the type says so, and a test does for whoever does not check types. */
const rows: Record<keyof typeof channels, Row> = {
  generate: {
    of: 'tenant',
    speakers: ['tenant'],
    listeners: ['gateway'],
    forged: { wrong_key: () => call(keyOf('globex')) },
  },
  abort: {
    of: 'tenant',
    speakers: ['tenant'],
    listeners: ['gateway'],
  },
  models: {
    of: 'tenant',
    speakers: ['tenant'],
    listeners: ['gateway'],
    forged: { wrong_key: () => ({ apiKey: keyOf('globex') }) },
  },
  leader: {
    of: 'pool',
    speakers: ['router'],
    listeners: ['gateway', 'node'],
    forged: { stale_epoch: () => ({ epoch: 1 }) },
  },
  submit: { of: 'pool', speakers: ['gateway'], listeners: ['router'] },
  cancel: { of: 'pool', speakers: ['gateway'], listeners: ['router'] },
  gatewayStatus: { of: 'pool', speakers: ['gateway'], listeners: ['router'] },
  admin: { of: 'pool', speakers: [], listeners: ['router'] },
  assign: {
    of: 'node',
    speakers: ['router'],
    listeners: ['node'],
    forged: { stale_epoch: ({ batch }) => ({ epoch: 0, task: taskOf(batch) }) },
  },
  nodeCommand: {
    of: 'node',
    speakers: ['router'],
    listeners: ['node'],
    forged: { stale_epoch: ({ batch }) => ({ type: 'cancel', epoch: 0, ...attemptOf(batch) }) },
  },
  probe: { of: 'node', speakers: ['control-plane'], listeners: ['node'] },
  nodeEvents: {
    of: 'pool',
    speakers: ['gpu-node'],
    listeners: ['router', 'control-plane'],
    forged: {
      wrong_pool: ({ status }) => ({ type: 'status', status: { ...status, pool: 'other' } }),
    },
  },
  tokens: {
    of: 'gateway',
    speakers: ['gpu-node'],
    listeners: ['gateway'],
    forged: { wrong_node: ({ batch }) => forgeTokens(batch) },
  },
  replay: {
    of: 'node',
    speakers: ['gateway'],
    listeners: ['node'],
    forged: {
      stale_incarnation: () => ({ gatewayId: 'gw', incarnation: 'old', fromSeq: 1, toSeq: 2 }),
    },
  },
  gatewayEvents: {
    of: 'gateway',
    speakers: ['router'],
    listeners: ['gateway'],
    forged: {
      stale_epoch: ({ batch }) => ({ type: 'interrupted', epoch: 1, ...attemptOf(batch) }),
    },
  },
  waiting: { of: 'gateway', speakers: ['router'], listeners: ['gateway'] },
  decisions: {
    of: 'pool',
    speakers: ['router'],
    listeners: ['control-plane'],
    forged: {
      wrong_pool: () => ({
        seq: 0,
        timeMs: 0,
        pool: 'other',
        kind: 'scale',
        wanted: 9,
        reason: '',
      }),
    },
  },
  poolReports: {
    of: 'pool',
    speakers: ['router', 'gateway'],
    listeners: ['control-plane'],
    forged: {
      stale_epoch: () => ({ type: 'router', epoch: 0, queuedRequests: 9, gpuSecondsSaved: 9 }),
    },
  },
  usage: {
    of: 'tenant',
    speakers: ['gateway'],
    listeners: ['control-plane'],
    forged: { implausible: () => usage },
  },
  keysUsed: { of: 'nothing', speakers: ['gateway'], listeners: ['control-plane'] },
}

const attemptOf = ({ tokens }: TokenBatch) => {
  const { requestId = '', attempt = 0 } = tokens[0] ?? {}
  return { requestId, attempt }
}

const taskOf = (batch: TokenBatch) => ({
  ...attemptOf(batch),
  gatewayId: 'gw',
  tenant: 'acme',
  adapter: null,
  tokens: [1, 2, 3],
  numPromptTokens: 3,
  maxNewTokens: 1_000,
  stopTokens: [],
  ignoreEos: true,
  sampling: { seed: 0 },
  arrivalMs: 0,
  deadlineMs: Date.now() + 60_000,
})

/** The next tokens of a request that runs elsewhere, and its end. */
const forgeTokens = ({ tokens }: TokenBatch): TokenBatch => ({
  nodeId: 'rogue',
  incarnation: String(numForged++),
  seq: 1,
  batchSize: 1,
  numAdapters: 1,
  tokens: tokens.map((entry) => ({ ...entry, index: entry.index + 1, token: 5 })),
  ends: tokens.map(({ requestId, attempt, index }) => ({
    requestId,
    attempt,
    reason: 'stop',
    numTokens: index + 2,
  })),
})
let numForged = 0

const malformed: readonly (readonly [string, Uint8Array | string])[] = [
  ['nothing at all', ''],
  ['no JSON', 'punica'],
  ['not UTF-8', Uint8Array.of(0x22, 0xff, 0xfe, 0x22)],
  ['an array', '[]'],
  ['an object without fields', '{}'],
  ['fields that nobody knows', '{"__proto__": {"epoch": 1}, "more": true}'],
  ['a number beyond all bounds', '1e999'],
  ['brackets without end', '['.repeat(200_000)],
  ['as much as the server lets through', `"${'x'.repeat(7 * 1024 ** 2)}"`],
]

let system: System
let control: Control
let raw: Awaited<ReturnType<typeof connectNats>>
let bus: Bus
let gatewayId: string
let batch: TokenBatch | undefined
let status: NodeStatus | undefined

const credentialsOf = (role: Role): Promise<string> =>
  readFile(path.join(path.dirname(system.cluster.operatorCredentials), `${role}.creds`), 'utf8')

beforeAll(async () => {
  control = createControl()
  system = await startSystem({ onProgress: control.onProgress })
  const url = system.cluster.natsUrl
  const credentials = await credentialsOf('operator')
  raw = await connectNats({ url, credentials })
  bus = await connectBus({ url, credentials })
  bus.subscribe(channels.tokens('*'), (message, { subject }) => {
    if (message.nodeId === 'rogue') return
    gatewayId = subject.split('.')[2] ?? ''
    // What is overheard is said again at once: it must change nothing.
    if (
      batch !== undefined &&
      message.incarnation === batch.incarnation &&
      message.seq === batch.seq
    ) {
      return
    }
    if (message.tokens.length > 0) batch = message
  })
  bus.subscribe(channels.nodeEvents('*'), (message) => {
    if (message.type === 'status' && message.status.pool === 'default') status = message.status
  })
  await bus.flush()
  await control.start(system)
})
afterAll(async () => {
  await bus?.close()
  await raw?.close()
  await system?.stop()
})

const subjectOf = (name: keyof typeof channels): string => {
  const names = {
    tenant: 'acme',
    pool: 'default',
    node: 'node-1',
    gateway: gatewayId,
    nothing: '*',
  }
  const channel = channels[name]
  return typeof channel === 'function' ? channel(names[rows[name].of]).subject : channel.subject
}

const servicesOf = (listener: string): string[] =>
  system.cluster.services.filter((service) => service.startsWith(listener))

/** Messages of a channel that its listeners have refused so far, for one reason or any. */
const numRefused = async (
  name: keyof typeof channels,
  { reason, by = rows[name].listeners }: { reason?: string; by?: readonly string[] } = {},
): Promise<number> => {
  const page = await scrape(system, by.flatMap(servicesOf))
  const labels = {
    subject: patternOf(subjectOf(name)),
    ...(reason === undefined ? {} : { reason }),
  }
  return sumOf(page, 'punica_refused_messages_total', labels)
}

const names = Object.keys(channels) as (keyof typeof channels)[]

test('every channel has a row', () => {
  expect(Object.keys(rows).toSorted()).toEqual(names.toSorted())
})

test.each(names)('%s: what is malformed is refused by each listener, and counted', async (name) => {
  const { listeners } = rows[name]
  const countEach = () =>
    Promise.all(listeners.map((listener) => numRefused(name, { by: [listener] })))
  const before = await countEach()
  for (const [, data] of malformed) raw.publish(subjectOf(name), data)
  await raw.flush()
  await until(`${name} counted`, async () => {
    const now = await countEach()
    return now.every((count, i) => count >= (before[i] ?? 0) + malformed.length) ? true : null
  })
})

const forgeries = names.flatMap((name) =>
  Object.entries(rows[name].forged ?? {}).map(([reason, forge]) => ({ name, reason, forge })),
)

test.each(forgeries)(
  '$name: what is forged is refused: $reason',
  async ({ name, reason, forge }) => {
    const before = await numRefused(name, { reason })
    const inbox = `${tenantInboxPrefix('acme')}.nobody`
    // What runs changes all the time, so it is tried until something was there to be refused.
    await until(`${reason} counted`, async () => {
      if (batch === undefined || status === undefined) return null
      raw.publish(subjectOf(name), JSON.stringify(forge({ batch, status })), { reply: inbox })
      await raw.flush()
      return (await numRefused(name, { reason })) > before ? true : null
    })
  },
)

test.each(['generate', 'models'] as const)(
  "%s: answers go to no other tenant's inbox",
  async (name) => {
    const heard: string[] = []
    const inbox = `${tenantInboxPrefix('globex')}.spied`
    raw.subscribe(inbox, { callback: (_, { data }) => heard.push(new TextDecoder().decode(data)) })
    const before = await numRefused(name, { reason: 'foreign_inbox' })
    const message = name === 'generate' ? call(keyOf('acme')) : { apiKey: keyOf('acme') }
    raw.publish(subjectOf(name), JSON.stringify(message), { reply: inbox })
    await until('refused', async () =>
      (await numRefused(name, { reason: 'foreign_inbox' })) > before ? true : null,
    )
    await raw.flush()
    expect(heard).toEqual([])
  },
)

test('tokens that are said again, and cancels by a gateway that has no part in it', async () => {
  const routers = servicesOf('router')
  const numCancelsRefused = async (): Promise<number> =>
    sumOf(await scrape(system, routers), 'punica_router_decisions_total', { kind: 'refuse' })
  const before = await numCancelsRefused()
  await until('cancels refused', async () => {
    if (batch === undefined) return null
    raw.publish(subjectOf('tokens'), JSON.stringify(batch))
    const cancel = { requestId: attemptOf(batch).requestId, gatewayId: 'rogue' }
    raw.publish(subjectOf('cancel'), JSON.stringify(cancel))
    await raw.flush()
    return (await numCancelsRefused()) > before ? true : null
  })
})

test.each(roles.filter((role) => role !== 'operator'))(
  'the server lets the credential of a %s speak on no other channel',
  async (role) => {
    const connection = await connectNats({
      url: system.cluster.natsUrl,
      credentials: await credentialsOf(role),
    })
    await expectRefused(connection, (row) => !row.speakers.includes(role))
  },
)

test("and a tenant's on those of no other tenant", async () => {
  const { creds } = await system.operator.createNatsCredential({ tenant: 'acme', name: 'hostile' })
  const connection = await connectNats({ url: system.cluster.natsUrl, credentials: creds })
  await expectRefused(connection, (row) => !row.speakers.includes('tenant'))
})

/** Says what nobody understands on every channel; those for which `isForeign` holds are refused. */
const expectRefused = async (
  connection: Awaited<ReturnType<typeof connectNats>>,
  isForeign: (row: Row) => boolean,
): Promise<void> => {
  const refused: string[] = []
  const listen = async (): Promise<void> => {
    for await (const { permissionContext } of connection.status()) {
      if (permissionContext !== undefined) refused.push(permissionContext.subject)
    }
  }
  void listen()
  for (const name of names) connection.publish(subjectOf(name), 'forged')
  await connection.flush()
  await new Promise((resolve) => setImmediate(resolve))
  await connection.close()
  const expected = names.filter((name) => isForeign(rows[name])).map(subjectOf)
  expect(refused.toSorted()).toEqual(expected.toSorted())
}

test('a stream beside all of it was what it is alone, and no process ended', async () => {
  await control.expectUntouched()
})
