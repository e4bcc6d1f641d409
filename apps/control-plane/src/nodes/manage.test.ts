import { connectBus, connectNats } from '@punica/bus'
import { channels, nodeRecords, poolRecords } from '@punica/schema'
import { createClient } from 'graphql-ws'
import { afterAll, beforeAll, expect, test } from 'vitest'
import WebSocket from 'ws'
import { type Harness, type Payload, startHarness } from '../testing/harness.ts'
import { startNats, type TestNats } from '../testing/nats.ts'
import { nodeStatus } from '../testing/node-status.ts'

let nats: TestNats
let harness: Harness
beforeAll(async () => {
  nats = await startNats()
  const { accountSeed: natsAccountSeed } = nats.authority
  const bus = await nats.connect('control-plane')
  harness = await startHarness({ bus, natsAccountSeed, accountClaims: nats.accountClaims })
})
afterAll(async () => {
  await harness.stop()
  await harness.bus.close()
  await nats.stop()
})

const join = async (token: string, nodeId: string) => {
  const response = await fetch(`${harness.url}/nodes/join`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ token, nodeId }),
  })
  return response.json()
}

const newToken = (changes: Record<string, unknown> = {}): Promise<Payload> =>
  harness.mutate(
    'createNodeJoinToken',
    { name: 'rack 1', pool: 'default', ...changes },
    'secret joinToken { id prefix state uses }',
  )

const connect = (credentials: string) => connectBus({ url: nats.server.url, credentials })

const report = async (credentials: string, nodeId: string, changes = {}): Promise<void> => {
  const bus = await connect(credentials)
  const status = nodeStatus(nodeId, changes)
  bus.publish(channels.nodeEvents('default'), { type: 'status', status })
  await bus.flush()
  await bus.close()
}

const nodeMutation = async (name: string, id: string): Promise<Payload> => {
  const type = `${name.charAt(0).toUpperCase()}${name.slice(1)}Payload`
  const fields = name === 'removeNode' ? 'id' : 'node { id scheduling }'
  const { data, errors } = await harness.graphql(
    `mutation { ${name}(input: { id: "${id}" }) {
      ... on ${type} { ${fields} } ... on ProblemError { code field } } }`,
  )
  expect(errors).toBeUndefined()
  return data?.[name]
}

const find = async (id: string): Promise<Payload> =>
  (await harness.graphql(`{ node(id: "${id}") { id state scheduling } }`)).data?.node

const isLetIn = async (credentials: string): Promise<boolean> => {
  try {
    await (await connectNats({ url: nats.server.url, credentials })).close()
    return true
  } catch {
    return false
  }
}

test('a node joins by a token, is that node of that pool, and nothing else', async () => {
  const { secret, joinToken } = await newToken()
  expect(joinToken).toMatchObject({ state: 'ACTIVE', uses: 0 })
  const joined = await join(secret, 'gpu-1')
  expect(joined).toMatchObject({ nodeId: 'gpu-1', pool: 'default' })
  await report(joined.creds, 'gpu-1', { requests: [] })
  await expect.poll(() => find('gpu-1')).toMatchObject({ state: 'READY', scheduling: 'OPEN' })

  const connection = await connectNats({ url: nats.server.url, credentials: joined.creds })
  const refused: string[] = []
  void (async () => {
    for await (const { permissionContext: context } of connection.status()) {
      if (context !== undefined) refused.push(context.subject)
    }
  })()
  connection.publish('punica.pool.other.nodes')
  connection.subscribe('punica.node.gpu-2.assign')
  connection.subscribe('punica.node.gpu-1.assign')
  await connection.flush()
  await new Promise((resolve) => setImmediate(resolve))
  await connection.close()
  expect(refused).toEqual(['punica.pool.other.nodes', 'punica.node.gpu-2.assign'])
})

test('a token is good for as many nodes as it says, until it expires or is revoked', async () => {
  const { secret, joinToken } = await newToken()
  const first = await join(secret, 'gpu-3')
  expect((await join(secret, 'gpu-4')).error).toMatchObject({ code: 'unauthenticated' })
  // Whose answer was lost may ask again; what it may have got before is worth nothing then.
  const again = await join(secret, 'gpu-3')
  expect(await isLetIn(again.creds)).toBe(true)
  expect(await isLetIn(first.creds)).toBe(false)
  const other = await newToken({ maxUses: 2 })
  expect((await join(other.secret, 'gpu-3')).error).toMatchObject({
    code: 'conflict',
    param: 'nodeId',
  })
  await harness.mutate('revokeNodeJoinToken', { id: other.joinToken.id }, 'joinToken { state }')
  expect((await join(other.secret, 'gpu-5')).error).toMatchObject({ code: 'unauthenticated' })
  const late = await newToken()
  const where = { id: late.joinToken.id }
  await harness.db.nodeJoinToken.update({ where, data: { expiresAt: new Date(0) } })
  expect((await join(late.secret, 'gpu-5')).error).toMatchObject({ code: 'unauthenticated' })
  expect((await join(secret.replace(/.$/, '~'), 'gpu-5')).error.code).toBe('unauthenticated')
  expect((await join(secret, 'Bad_Id')).error).toMatchObject({ code: 'invalid_request' })
  const { data } = await harness.graphql(
    '{ nodeJoinTokens(state: USED) { edges { node { id } } } auditEvents(filter: { action: "joinNode" }, first: 1) { edges { node { role actor target } } } }',
  )
  expect(data?.nodeJoinTokens.edges).toContainEqual({ node: { id: joinToken.id } })
  expect(data?.auditEvents.edges[0].node).toEqual({
    role: 'NODE',
    actor: joinToken.prefix,
    target: 'gpu-3',
  })
})

test('many nodes at once spend a token no more often than it may be', async () => {
  const { secret } = await newToken({ maxUses: 3 })
  const answers = await Promise.all(Array.from({ length: 8 }, (_, i) => join(secret, `many-${i}`)))
  expect(answers.filter(({ creds }) => creds !== undefined)).toHaveLength(3)
  expect(
    await harness.db.nodeCredential.count({ where: { nodeId: { startsWith: 'many-' } } }),
  ).toBe(3)
})

test('a full pool lets no node join', async () => {
  const set = (maxNodes: number | null) =>
    harness.mutate('updatePool', { name: 'default', maxNodes }, 'pool { maxNodes }')
  expect((await set(1)).pool).toEqual({ maxNodes: 1 })
  const pools = await harness.bus.records(poolRecords)
  expect((await pools.get('default'))?.value.maxNodes).toBe(1)
  const { secret } = await newToken()
  expect((await join(secret, 'late')).error).toMatchObject({ code: 'quota_exceeded' })
  await set(null)
  expect((await join(secret, 'late')).creds).toBeTruthy()
})

test('a drain outlasts the node’s restart; a removed node is locked out', async () => {
  const { secret } = await newToken()
  const { creds } = await join(secret, 'gpu-7')
  await report(creds, 'gpu-7', { requests: [] })
  await expect.poll(() => find('gpu-7')).toMatchObject({ state: 'READY' })
  expect(await nodeMutation('removeNode', 'gpu-7')).toMatchObject({ code: 'conflict' })
  const drained = await nodeMutation('drainNode', 'gpu-7')
  expect(drained.node).toEqual({ id: 'gpu-7', scheduling: 'DRAINED' })
  const records = await harness.bus.records(nodeRecords)
  const record = { nodeId: 'gpu-7', pool: 'default', scheduling: 'drained' }
  expect((await records.get('gpu-7'))?.value).toEqual(record)

  const bus = await connect(creds)
  bus.publish(channels.nodeEvents('default'), { type: 'leaving', nodeId: 'gpu-7' })
  await bus.flush()
  await expect.poll(() => find('gpu-7')).toMatchObject({ state: 'LOST', scheduling: 'DRAINED' })
  await bus.close()
  await report(creds, 'gpu-7', { incarnation: '2', requests: [] })
  await expect.poll(() => find('gpu-7')).toMatchObject({ state: 'READY', scheduling: 'DRAINED' })

  expect(await nodeMutation('removeNode', 'gpu-7')).toMatchObject({ id: 'gpu-7' })
  expect(await find('gpu-7')).toBeNull()
  expect(await records.get('gpu-7')).toBeNull()
  expect(await isLetIn(creds)).toBe(false)
  expect(await nodeMutation('cordonNode', 'gpu-7')).toMatchObject({
    code: 'not_found',
    field: 'id',
  })
})

test('another control plane sees a cordon, and forgets a node that was removed there', async () => {
  const credentials = await nats.credentialsOf('gpu-node')
  const beside = await startHarness({ beside: harness })
  try {
    await report(credentials, 'shared', { requests: [] })
    await expect.poll(() => find('shared')).toMatchObject({ state: 'READY' })
    await nodeMutation('cordonNode', 'shared')
    const there = async () =>
      (await beside.graphql('{ node(id: "shared") { scheduling state } }')).data?.node
    await expect.poll(there, { timeout: 10_000 }).toMatchObject({ scheduling: 'CORDONED' })
    await nodeMutation('drainNode', 'shared')
    await nodeMutation('removeNode', 'shared')
    await expect.poll(there, { timeout: 20_000 }).toBeNull()
  } finally {
    await beside.stop()
  }
}, 60_000)

test('happenings and decisions reach who subscribes, and nobody else', async () => {
  const client = createClient({
    url: harness.url.replace('http', 'ws').concat('/graphql'),
    webSocketImpl: WebSocket,
    connectionParams: { authorization: `Bearer ${harness.operatorKey}` },
    lazyCloseTimeout: 0,
  })
  const watch = (query: string) => client.iterate<Record<string, Payload>>({ query })
  const events = watch('subscription { nodeEvents { nodeId kind state } }')
  const decisions = watch(
    'subscription { decisions(tenant: "acme") { skipped decisions { kind reason } } }',
  )
  const [event, batch] = [events.next(), decisions.next()]
  const router = await nats.connect('router')
  const credentials = await nats.credentialsOf('gpu-node')
  const decision = { timeMs: 1, pool: 'default', kind: 'place' as const, reason: 'it has room' }
  let seq = 0
  // A subscription begins some time after it is asked for.
  const timer = setInterval(() => {
    router.publish(channels.decisions('default'), { ...decision, seq: seq++, tenant: 'other' })
    router.publish(channels.decisions('default'), { ...decision, seq: seq++, tenant: 'acme' })
    void report(credentials, `newcomer-${seq}`)
  }, 100)
  const happened = (await event).value?.data?.nodeEvents
  expect(happened).toMatchObject({ kind: 'JOINED', state: 'READY' })
  const { decisions: seen, skipped } = (await batch).value?.data?.decisions ?? {}
  clearInterval(timer)
  expect([seen[0], skipped]).toEqual([{ kind: 'PLACE', reason: 'it has room' }, 0])
  await events.return?.()
  await decisions.return?.()
  await client.dispose()
  await router.close()
})
