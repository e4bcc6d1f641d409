import { channels } from '@punica/schema'
import { createClient } from 'graphql-ws'
import { afterAll, beforeAll, expect, test } from 'vitest'
import WebSocket from 'ws'
import { type Harness, type Payload, startHarness } from '../testing/harness.ts'
import { nodeStatus } from '../testing/node-status.ts'
import { loadNodes } from './node-rows.ts'

let harness: Harness
let tenantKey = ''
beforeAll(async () => {
  harness = await startHarness()
  tenantKey = (await harness.createTenant('acme')).admin
})
afterAll(() => harness.stop())

const report = (nodeId: string, changes = {}): void =>
  harness.bus.publish(channels.nodeEvents('default'), {
    type: 'status',
    status: nodeStatus(nodeId, changes),
  })

const subscribe = (query: string, key = harness.operatorKey) => {
  const client = createClient({
    url: harness.url.replace('http', 'ws').concat('/graphql'),
    webSocketImpl: WebSocket,
    connectionParams: { authorization: `Bearer ${key}` },
    retryAttempts: 0,
    lazyCloseTimeout: 0,
  })
  return { client, results: client.iterate<Record<string, Payload>>({ query }) }
}

test('what nodes report is listed, in their pool too', async () => {
  report('node-1')
  report('node-2', { state: 'failed', reason: 'no GPU' })
  const { data } = await harness.graphql(`{
    nodes { totalCount edges { node { id pool state reason backend description memoryBytes requests maxBatchSize numPages
      freePages kvPages adapterPages adaptersInBatch generatedTokens lastSeenAt
      residentAdapters { digest tier sizeBytes requests } } } }
    pools { name baseModel nodes { edges { node { id } } } }
  }`)
  expect(data?.nodes.edges[0].node).toEqual({
    id: 'node-1',
    pool: 'default',
    state: 'READY',
    reason: null,
    backend: 'cpu',
    description: 'a test',
    memoryBytes: 2 ** 34,
    requests: 1,
    maxBatchSize: 8,
    numPages: 100,
    freePages: 90,
    kvPages: 4,
    adapterPages: 6,
    adaptersInBatch: 2,
    generatedTokens: 3,
    lastSeenAt: expect.stringMatching(/Z$/),
    residentAdapters: [{ digest: 'a'.repeat(64), tier: 'device', sizeBytes: 1000, requests: 1 }],
  })
  expect(data?.nodes.edges[1].node).toMatchObject({ state: 'FAILED', reason: 'no GPU' })
  expect(data?.pools).toEqual([
    {
      name: 'default',
      baseModel: 'demo',
      nodes: { edges: [{ node: { id: 'node-1' } }, { node: { id: 'node-2' } }] },
    },
  ])
})

test('nodes are written down, without what they run', async () => {
  report('node-3', { pool: 'default' })
  await expect
    .poll(async () => (await loadNodes(harness.db)).find((n) => n.status.nodeId === 'node-3'))
    .toMatchObject({ state: 'READY', status: { requests: [], adapters: [], numPages: 100 } })
  harness.bus.publish(channels.nodeEvents('default'), { type: 'leaving', nodeId: 'node-3' })
  await expect
    .poll(async () => (await loadNodes(harness.db)).map((n) => n.status.nodeId))
    .not.toContain('node-3')
})

test('a subscription shows the nodes at once and after each change', async () => {
  const { client, results } = subscribe(
    'subscription { clusterState(pool: "default") { nodes { id freePages } } }',
  )
  const first = await results.next()
  expect(first.value?.data?.clusterState.nodes).toContainEqual({ id: 'node-1', freePages: 90 })
  report('node-1', { freePages: 50 })
  // What was reported before may be told once more on the way.
  const freePages = async (): Promise<number> => {
    const { value } = await results.next()
    const nodes: Payload[] = value?.data?.clusterState.nodes
    return nodes.find(({ id }) => id === 'node-1')?.freePages
  }
  for (let pages = 90; pages !== 50; pages = await freePages()) expect(pages).toBe(90)
  await results.return?.()
  await client.dispose()
})

test.each([
  ['a tenant', 'subscription { clusterState { at } }', () => tenantKey, 'forbidden'],
  ['a query', '{ viewer { role } }', () => harness.operatorKey, 'invalid_request'],
  ['what is not GraphQL', 'subscription {', () => harness.operatorKey, 'invalid_request'],
  ['an unknown field', 'subscription { none }', () => harness.operatorKey, 'invalid_request'],
])('%s is refused over WebSocket', async (_, query, key, code) => {
  const { client, results } = subscribe(query, key())
  const refused = await results.next().then(
    ({ value }) => value?.errors,
    (errors: unknown) => errors,
  )
  expect(refused).toMatchObject([{ extensions: { code } }])
  await client.dispose()
})

test('a socket without a key is closed', async () => {
  const { client, results } = subscribe('subscription { clusterState { at } }', 'none')
  await expect(results.next()).rejects.toMatchObject({ code: 4403 })
  await client.dispose()
})
