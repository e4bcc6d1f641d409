// What a token costs outside of the engine: streaming HTTP clients against the real gateway, router
// and nodes, whose engines are stubs that make tokens at a fixed rate. Linux only.
//   npm run bench:load -- [--streams 1000] [--rate 20] [--nodes 4] [--seconds 20]
import { type ChildProcess, fork } from 'node:child_process'
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import os, { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { connectAdmin } from '@punica/cli/admin'
import { type Cluster, startCluster } from '@punica/cli/cluster'
import type { ClientNews, ClientOrder } from './client.ts'
import { cpuOfChildren, cpuOfMachine, type ProcessUse, useOfService } from './usage.ts'

const { values } = parseArgs({
  options: {
    streams: { type: 'string', default: '1000' },
    /** Tokens a second of each stream. */
    rate: { type: 'string', default: '20' },
    nodes: { type: 'string', default: '4' },
    clients: { type: 'string', default: '2' },
    seconds: { type: 'string', default: '20' },
    /** A folder for CPU profiles of the services. */
    profile: { type: 'string' },
  },
})
const numStreams = Number(values.streams)
const periodMs = 1_000 / Number(values.rate)
const numNodes = Number(values.nodes)
const numClients = Number(values.clients)
const windowMs = 1_000 * Number(values.seconds)
/** The demo model's context less the prompt: the longest stream that there is. Then comes another. */
const maxTokens = 980
const goalMicros = 50
const settleMs = 3_000

const start = (dataFolder: string): Promise<Cluster> => {
  const hook = new URL('./use-stub-engine.mjs', import.meta.url).href
  const { profile } = values
  const profiler = new URL('./profile.mjs', import.meta.url).href
  const common = (...imports: string[]): Record<string, string> => ({
    NODE_OPTIONS: [...imports, ...(profile === undefined ? [] : [profiler])]
      .map((url) => `--import=${url}`)
      .join(' '),
    ...(profile === undefined ? {} : { PROFILE_FOLDER: path.resolve(profile) }),
  })
  return startCluster({
    dataFolder,
    durable: false,
    numNodes,
    onProgress: (text) => console.error(text),
    settings: {
      'gpu-node': {
        ...common(hook),
        MAX_BATCH_SIZE: String(Math.ceil(numStreams / numNodes)),
        STUB_NODES: String(numNodes),
        STUB_PERIOD_MS: String(periodMs),
      },
      gateway: { ...common(), MAX_INFLIGHT: String(2 * numStreams) },
      router: common(),
    },
  })
}

const openTenant = async (cluster: Cluster): Promise<string> => {
  const admin = connectAdmin({ url: cluster.controlPlaneUrl, key: cluster.operatorKey })
  await admin.createTenant({ slug: 'bench', name: 'Bench' })
  const { secret } = await admin.createApiKey({ tenant: 'bench', name: 'b', scopes: ['GENERATE'] })
  const headers = { authorization: `Bearer ${secret}` }
  // What the control plane has written reaches the gateway within a moment.
  for (;;) {
    const response = await fetch(`${cluster.gatewayUrl}/v1/models`, { headers })
    if (response.ok && (await response.text()).includes(cluster.baseModel)) return secret
    await sleep(50)
  }
}

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

/** Its next message of this type; a failure rejects. */
const next = <T extends ClientNews['type']>(
  client: ChildProcess,
  type: T,
): Promise<Extract<ClientNews, { type: T }>> =>
  new Promise((resolve, reject) => {
    client.on('message', (news: ClientNews) => {
      if (news.type === 'failed') reject(new Error(news.reason))
      else if (isOf(news, type)) resolve(news)
    })
    client.once('exit', (code) => reject(new Error(`a client process ended with ${code}`)))
  })

const isOf = <T extends ClientNews['type']>(
  news: ClientNews,
  type: T,
): news is Extract<ClientNews, { type: T }> => news.type === type

const openStreams = async (cluster: Cluster, key: string): Promise<ChildProcess[]> => {
  const { gatewayUrl: url, baseModel: model } = cluster
  const file = fileURLToPath(new URL('./client.ts', import.meta.url))
  const clients = Array.from({ length: numClients }, () =>
    fork(file, { execArgv: ['--import', 'tsx'], serialization: 'advanced' }),
  )
  const order: ClientOrder = {
    ...{ url, key, model, maxTokens, numNodes, periodMs },
    numStreams: Math.ceil(numStreams / numClients),
  }
  for (const client of clients) client.send(order)
  await Promise.all(clients.map((client) => next(client, 'streaming')))
  return clients
}

type Snapshot = {
  services: Map<string, ProcessUse>
  nats: number
  machine: { all: number; idle: number }
}

const takeSnapshot = async (cluster: Cluster): Promise<Snapshot> => {
  const names = cluster.services.filter((name) => name !== 'control-plane')
  const uses = await Promise.all(
    names.map(async (name) => [name, await useOfService(cluster, name)] as const),
  )
  return {
    services: new Map(uses),
    nats: await cpuOfChildren('nats-server'),
    machine: await cpuOfMachine(),
  }
}

const percentile = (sorted: Float64Array, share: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN

const measure = async (cluster: Cluster, clients: readonly ChildProcess[]) => {
  const maxAges = Math.ceil((2 * numStreams * windowMs) / periodMs / numClients)
  const before = await takeSnapshot(cluster)
  const measured = clients.map((client) => next(client, 'measured'))
  for (const client of clients) client.send({ windowMs, maxAges })
  const results = await Promise.all(measured)
  const after = await takeSnapshot(cluster)
  const agesMs = Float64Array.from(results.flatMap(({ agesMs }) => [...agesMs])).sort()
  const sum = (of: (result: (typeof results)[number]) => number): number =>
    results.reduce((all, result) => all + of(result), 0)
  const clientMicros = sum(({ cpuMicros }) => cpuMicros)
  return { before, after, agesMs, clientMicros, numMoves: sum(({ numMoves }) => numMoves) }
}

type Measured = Awaited<ReturnType<typeof measure>>

const report = (
  { before, after, agesMs, clientMicros, numMoves }: Measured,
  idleRss: number,
): boolean => {
  const numTokens = agesMs.length
  const microsOf = (prefix: string): number => {
    let seconds = 0
    for (const [name, { cpuSeconds }] of after.services) {
      if (!name.startsWith(prefix)) continue
      seconds += cpuSeconds - (before.services.get(name)?.cpuSeconds ?? 0)
    }
    return (1e6 * seconds) / numTokens
  }
  const [gateway, router, nodes] = ['gateway', 'router-', 'node-'].map(microsOf)
  const sum = (gateway ?? 0) + (router ?? 0) + (nodes ?? 0)
  const nats = (1e6 * (after.nats - before.nats)) / numTokens
  const clients = clientMicros / numTokens
  const busy =
    1 - (after.machine.idle - before.machine.idle) / (after.machine.all - before.machine.all)
  const rss = (after.services.get('gateway')?.rssBytes ?? 0) - idleRss
  const seconds = windowMs / 1_000
  const lines = [
    `${numStreams} streams, ${values.rate} tokens/s each, over ${numNodes} nodes, ${seconds} s`,
    `tokens/s                    ${(numTokens / seconds).toFixed(0)} (asked for ${((numStreams * 1_000) / periodMs).toFixed(0)})`,
    `added latency               p50 ${percentile(agesMs, 0.5).toFixed(1)} ms, p99 ${percentile(agesMs, 0.99).toFixed(1)} ms`,
    `gateway memory              ${(rss / numStreams / 1_024).toFixed(0)} KiB a stream`,
    `streams that were moved     ${numMoves}`,
    'CPU time a token, in microseconds',
    `  gateway                   ${gateway?.toFixed(1)}`,
    `  router                    ${router?.toFixed(1)}`,
    `  nodes                     ${nodes?.toFixed(1)}`,
    `  gateway + router + nodes  ${sum.toFixed(1)} (goal: at most ${goalMicros})`,
    `  nats-server               ${nats.toFixed(1)}`,
    `  clients                   ${clients.toFixed(1)}`,
    `${os.availableParallelism()} cores, ${(100 * busy).toFixed(0)} % busy, ${os.cpus()[0]?.model.trim()}`,
  ]
  console.log(lines.join('\n'))
  return sum <= goalMicros
}

const main = async (): Promise<void> => {
  const dataFolder = await mkdtemp(path.join(tmpdir(), 'punica-load-'))
  // Postgres' own user must be able to enter it.
  await chmod(dataFolder, 0o711)
  let cluster: Cluster | undefined
  let clients: ChildProcess[] = []
  try {
    cluster = await start(dataFolder)
    const key = await openTenant(cluster)
    const idle = await useOfService(cluster, 'gateway')
    clients = await openStreams(cluster, key)
    await sleep(settleMs)
    const measured = await measure(cluster, clients)
    if (!report(measured, idle.rssBytes)) process.exitCode = 1
  } finally {
    for (const client of clients) client.disconnect()
    await cluster?.stop()
    await rm(dataFolder, { recursive: true, force: true })
  }
}

await main()
