import { channels, type ProbeReply, type ProbeRequest } from '@punica/schema'
import { createClient } from 'graphql-ws'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { WebSocket } from 'ws'
import { type Harness, type Payload, startHarness } from '../testing/harness.ts'
import { nodeStatus } from '../testing/node-status.ts'
import { config, createUploads, type Upload, weights } from '../testing/uploads.ts'

let harness: Harness
let uploads: ReturnType<typeof createUploads>
let key = ''
beforeAll(async () => {
  harness = await startHarness({ nodesProbe: true })
  key = (await harness.createTenant('acme')).admin
  uploads = createUploads(harness, { tenant: 'acme', key })
})
afterAll(() => harness.stop())

const stops: (() => void)[] = []
afterEach(() => {
  for (const stop of stops.splice(0)) stop()
})

const passed: ProbeReply = {
  type: 'passed',
  report: { maxLogprobChange: 1.5, changedTokens: 20, numTokens: 32 },
}
const refused = (code: 'adapter_invalid' | 'overloaded', message: string): ProbeReply => ({
  type: 'refused',
  error: { code, message },
})

/** A node of the pool that answers probes as `answer` does. */
const startNode = (
  nodeId: string,
  answer: (request: ProbeRequest) => ProbeReply | Promise<ProbeReply>,
  changes: Parameters<typeof nodeStatus>[1] = {},
): void => {
  const events = channels.nodeEvents('default')
  const stop = harness.bus.serve(channels.probe(nodeId), answer)
  harness.bus.publish(events, { type: 'status', status: nodeStatus(nodeId, changes) })
  stops.push(() => {
    stop()
    harness.bus.publish(events, { type: 'leaving', nodeId })
  })
}

const upload = async (name: string, words = ''): Promise<Upload> => {
  const opened = await uploads.open(name)
  await uploads.put(opened, 'adapter_config.json', Buffer.from(`${config}${words}`))
  await uploads.put(opened, 'adapter_model.safetensors', weights)
  return opened
}

const statusOf = async ({ id }: Upload) => {
  const query = `{ adapterUpload(id: "${id}") { status problem { code message field } version { version } } }`
  return (await harness.graphql(query, {}, key)).data?.adapterUpload
}

test('a node that has room tries the adapter, and what it found is kept', async () => {
  const asked: ProbeRequest[] = []
  startNode('full', () => refused('overloaded', 'full'), { freePages: 1 })
  startNode('roomy', (request) => {
    asked.push(request)
    return passed
  })
  const { version } = await uploads.publish(await upload('tried'))
  expect(asked.map(({ adapter }) => adapter.digest)).toEqual([version.digest])
  const query =
    '{ adapter(tenant: "acme", name: "tried") { versions { probe { nodeId maxLogprobChange changedTokens numTokens } } } }'
  const { data } = await harness.graphql(query, {}, key)
  expect(data?.adapter.versions[0].probe).toEqual({
    nodeId: 'roomy',
    maxLogprobChange: 1.5,
    changedTokens: 20,
    numTokens: 32,
  })
})

test('an adapter that changes nothing is refused until its files are replaced', async () => {
  startNode('node', () => refused('adapter_invalid', 'changes nothing'))
  const opened = await upload('idle')
  expect(await uploads.publish(opened)).toMatchObject({ code: 'adapter_invalid' })
  expect(await statusOf(opened)).toEqual({
    status: 'REJECTED',
    problem: { code: 'adapter_invalid', message: 'changes nothing', field: null },
    version: null,
  })
  expect(await uploads.recordOf('idle')).toBeUndefined()
  await uploads.put(opened, 'adapter_config.json', Buffer.from(`${config} `))
  expect(await statusOf(opened)).toMatchObject({ status: 'PENDING', problem: null })
  stops.pop()?.()
  startNode('other', () => passed)
  expect((await uploads.publish(opened)).version.version).toBe(1)
  expect(await statusOf(opened)).toMatchObject({ status: 'READY', version: { version: 1 } })
})

test('a node that is busy, silent or gone is passed over', async () => {
  startNode('busy', () => refused('overloaded', 'busy'), { freePages: 99 })
  const silent = nodeStatus('silent', { freePages: 98 })
  const events = channels.nodeEvents('default')
  harness.bus.publish(events, { type: 'status', status: silent })
  stops.push(() => harness.bus.publish(events, { type: 'leaving', nodeId: 'silent' }))
  startNode('draining', () => refused('adapter_invalid', 'asked'), { state: 'draining' })
  startNode('willing', () => passed, { freePages: 1 })
  expect((await uploads.publish(await upload('passed'))).version.version).toBe(1)
})

test('without a node it is unavailable, and may be published again', async () => {
  const opened = await upload('early')
  const problem = await uploads.publish(opened)
  expect(problem).toMatchObject({ code: 'unavailable' })
  expect(problem.message).toContain('No node of pool default')
  expect(await statusOf(opened)).toMatchObject({
    status: 'PENDING',
    problem: { code: 'unavailable' },
  })
  const again = uploads.publish(opened)
  startNode('late', () => passed)
  expect((await again).version.version).toBe(1)
})

test('its status is followed from the first byte to the version', async () => {
  let sawCheck = (): void => {}
  const mayEnd = new Promise<void>((resolve) => {
    sawCheck = resolve
  })
  startNode('slow', async () => {
    await mayEnd
    return passed
  })
  const opened = await uploads.open('followed')
  const client = createClient({
    url: harness.url.replace('http', 'ws').concat('/graphql'),
    webSocketImpl: WebSocket,
    connectionParams: { authorization: `Bearer ${key}` },
    retryAttempts: 0,
    lazyCloseTimeout: 0,
  })
  const query = `subscription { adapterStatus(uploadId: "${opened.id}") {
    status problem { code } files { receivedBytes } version { version } } }`
  const seen: Payload[] = []
  for await (const { data, errors } of client.iterate<Record<string, Payload>>({ query })) {
    expect(errors).toBeUndefined()
    seen.push(data?.adapterStatus)
    if (seen.length === 1) {
      await uploads.put(opened, 'adapter_config.json', config)
      await uploads.put(opened, 'adapter_model.safetensors', weights)
    }
    const { status, files } = seen.at(-1)
    const isWhole = files.every((file: Payload) => file.receivedBytes > 0)
    if (status === 'PENDING' && isWhole) void uploads.publish(opened)
    if (status === 'VALIDATING') sawCheck()
  }
  expect(seen.at(0)).toMatchObject({ status: 'PENDING', files: [{ receivedBytes: 0 }, {}] })
  expect(seen.map(({ status }) => status)).toContain('VALIDATING')
  expect(seen.at(-1)).toMatchObject({
    status: 'READY',
    files: [{ receivedBytes: config.length }, { receivedBytes: weights.length }],
    version: { version: 1 },
  })
  await client.dispose()
})

test('two calls that publish one upload make one version', async () => {
  let numAsked = 0
  startNode('node', () => {
    numAsked++
    return passed
  })
  const opened = await upload('twice')
  const both = await Promise.all([uploads.publish(opened), uploads.publish(opened)])
  expect(both.map(({ version }) => version.version)).toEqual([1, 1])
  expect(numAsked).toBe(1)
})

test('a check whose process died is taken over by the next call', async () => {
  startNode('node', () => passed)
  const opened = await upload('orphan')
  const where = { id: opened.id }
  const died = { status: 'VALIDATING', checkedUntil: new Date(Date.now() + 1_000) } as const
  await harness.db.adapterUpload.update({ where, data: died })
  expect(await statusOf(opened)).toMatchObject({ status: 'VALIDATING' })
  expect((await uploads.publish(opened)).version.version).toBe(1)
})

test('a file that is replaced while a node tries the old one is not published unchecked', async () => {
  startNode('node', async () => {
    await uploads.put(opened, 'adapter_config.json', Buffer.from('{}'))
    return passed
  })
  const opened = await upload('swapped')
  expect(await uploads.publish(opened)).toMatchObject({ code: 'conflict' })
  expect(await statusOf(opened)).toMatchObject({ status: 'PENDING', version: null })
})

test('uploads are listed by status, to the admins of their tenant', async () => {
  const list = async (status: string) => {
    const query = `{ adapterUploads(tenant: "acme", status: ${status}) { edges { node { name } } } }`
    const { data } = await harness.graphql(query, {}, key)
    return data?.adapterUploads.edges.map(({ node }: Payload) => node.name)
  }
  const open = await uploads.open('open')
  const late = await uploads.open('late')
  const past = { expiresAt: new Date(Date.now() - 1) }
  await harness.db.adapterUpload.update({ where: { id: late.id }, data: past })
  expect(await list('PENDING')).toEqual(['open', 'swapped'])
  expect(await list('EXPIRED')).toEqual(['late'])
  expect(await list('REJECTED')).toEqual([])
  expect(await list('READY')).toContain('tried')
  expect(await statusOf(open)).toMatchObject({ status: 'PENDING' })
  expect(await statusOf(late)).toMatchObject({ status: 'EXPIRED' })
})
