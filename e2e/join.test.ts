import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile, stat, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Admin, connectAdmin } from '@punica/cli/admin'
import { type Cluster, demoModel, startCluster } from '@punica/cli/cluster'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { makeDataFolder, removeDataFolder } from './support/folder.ts'
import { until } from './support/until.ts'

// A gpu-node that has nothing but a join token, and the control plane that gave it.

const main = fileURLToPath(new URL('../apps/gpu-node/src/main.ts', import.meta.url))

let folder: string
let cluster: Cluster
let operator: Admin
const children: ChildProcess[] = []

beforeAll(async () => {
  folder = await makeDataFolder()
  cluster = await startCluster({ dataFolder: folder, durable: false, numNodes: 0 })
  operator = connectAdmin({ url: cluster.controlPlaneUrl, key: cluster.operatorKey })
})
afterAll(async () => {
  for (const child of children) child.kill('SIGKILL')
  await cluster?.stop()
  await removeDataFolder(folder)
})

const newToken = async (): Promise<{ id: string; secret: string }> => {
  const { result } = await operator.graphql<{
    result: { secret: string; joinToken: { id: string } }
  }>(
    `mutation { result: createNodeJoinToken(input: { name: "e2e", pool: "default", maxUses: 1 }) {
      ... on CreateNodeJoinTokenPayload { secret joinToken { id } } } }`,
  )
  return { id: result.joinToken.id, secret: result.secret }
}

type Node = {
  /** Resolves when it is ready; rejects with its log when it ends before. */
  ready: Promise<void>
  /** Its exit code and everything that it logged. */
  ended: Promise<{ code: number | null; log: string }>
  log(): string
  stop(): Promise<void>
}

const startNode = (nodeId: string, settings: Record<string, string>): Node => {
  const child = spawn(process.execPath, ['--import', 'tsx', main], {
    env: {
      PATH: process.env.PATH,
      NATS_URL: cluster.natsUrl,
      CONTROL_PLANE_URL: cluster.controlPlaneUrl,
      NODE_ID: nodeId,
      MODEL_FOLDER: demoModel.folder,
      BASE_MODEL: demoModel.name,
      DATA_DIR: path.join(folder, 'joined'),
      NUM_THREADS: '1',
      ...settings,
    },
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
  })
  children.push(child)
  let log = ''
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    log += text
  })
  const ended = once(child, 'close').then(([code]) => ({ code, log }))
  const ready = Promise.race([
    once(child, 'message').then(() => {}),
    ended.then(() => Promise.reject(new Error(`${nodeId} ended before it was ready:\n${log}`))),
  ])
  ready.catch(() => {})
  const stop = async (): Promise<void> => {
    child.kill('SIGTERM')
    await ended
  }
  return { ready, ended, log: () => log, stop }
}

const stateOf = async (id: string): Promise<string | undefined> =>
  (await operator.graphql<{ node: { state: string } | null }>(`{ node(id: "${id}") { state } }`))
    .node?.state

/** `undefined`: nobody knows it. */
const untilState = (id: string, state: string | undefined): Promise<true> =>
  until(`${id} ${state}`, async () => ((await stateOf(id)) === state ? true : null))

/** A way to the control plane on which the first answer is lost. */
const startLossyProxy = async () => {
  let numLost = 0
  const server = createServer(async (request, response) => {
    const body = Buffer.concat(await request.toArray())
    const answer = await fetch(`${cluster.controlPlaneUrl}${request.url}`, {
      method: request.method ?? 'GET',
      headers: { 'content-type': 'application/json' },
      body,
    })
    const text = await answer.text()
    if (numLost++ === 0) response.destroy()
    else response.writeHead(answer.status, { 'content-type': 'application/json' }).end(text)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  const port = typeof address === 'object' ? address?.port : undefined
  return { url: `http://127.0.0.1:${port}`, close: () => server.close() }
}

test('a node with a join token joins, though an answer is lost, and keeps its credential', async () => {
  const { id, secret } = await newToken()
  const proxy = await startLossyProxy()
  const settings = { JOIN_TOKEN: secret, CONTROL_PLANE_URL: proxy.url }
  const node = startNode('gpu-1', settings)
  await node.ready
  proxy.close()
  expect(node.log()).toContain('not joined yet')
  await untilState('gpu-1', 'READY')
  const creds = path.join(folder, 'joined', 'gpu-1.creds')
  expect((await stat(creds)).mode & 0o777).toBe(0o600)
  const kept = await readFile(creds, 'utf8')
  await node.stop()
  await untilState('gpu-1', undefined)

  // The token is worth nothing any more, and nothing listens where the control plane was.
  await operator.graphql(`mutation { revokeNodeJoinToken(input: { id: "${id}" }) { __typename } }`)
  const again = startNode('gpu-1', settings)
  await again.ready
  await untilState('gpu-1', 'READY')
  expect(await readFile(creds, 'utf8')).toBe(kept)
  await again.stop()
})

test('a spent token is refused in words that say what to do', async () => {
  const { secret } = await newToken()
  const first = startNode('gpu-2', { JOIN_TOKEN: secret })
  await first.ready
  const second = startNode('gpu-3', { JOIN_TOKEN: secret })
  const { code, log } = await second.ended
  expect(code).toBe(1)
  expect(log).toContain('has let in all the nodes that it may; ask for another')
  expect(await stateOf('gpu-3')).toBeUndefined()
  await first.stop()
})

test('a removed node is kept out until it has a new token, from a file', async () => {
  const token = path.join(folder, 'token')
  await writeFile(token, `${(await newToken()).secret}\n`)
  const settings = { JOIN_TOKEN_FILE: token }
  const node = startNode('gpu-4', settings)
  await node.ready
  await untilState('gpu-4', 'READY')
  await operator.graphql('mutation { drainNode(input: { id: "gpu-4" }) { __typename } }')
  await node.stop()
  await untilState('gpu-4', 'LOST')
  await operator.graphql('mutation { removeNode(input: { id: "gpu-4" }) { __typename } }')

  const locked = startNode('gpu-4', settings)
  expect(await locked.ended).toMatchObject({ code: 1 })
  await writeFile(token, (await newToken()).secret)
  const back = startNode('gpu-4', settings)
  await back.ready
  await untilState('gpu-4', 'READY')
  await back.stop()
})

test('settings that do not go together are refused', async () => {
  const { code, log } = await startNode('gpu-5', { JOIN_TOKEN: 'a', JOIN_TOKEN_FILE: 'b' }).ended
  expect(code).toBe(2)
  expect(log).toContain('exclude each other')
})
