// How long the scheduler takes for one event, by kind of event: by default 64 nodes, 10,000 adapters
// and 1000 requests a second, all of whose rules are in force and whose load is at times more than
// the nodes hold. Nothing but the scheduler runs; the time of the cluster is pretended.
// npm run -w bench decisions -- --nodes 64 --rate 1000 --seconds 60

import { parseArgs } from 'node:util'
import { type Command, createScheduler, type SchedulerEvent } from '@punica/scheduler'
import type { NodeStatus, Task } from '@punica/schema'
import { createAdapters, zipf } from './popularity.ts'
import { createRandom } from './random.ts'

const { values: args } = parseArgs({
  options: {
    nodes: { type: 'string', default: '64' },
    adapters: { type: 'string', default: '10000' },
    rate: { type: 'string', default: '1000' },
    seconds: { type: 'string', default: '60' },
    tenants: { type: 'string', default: '200' },
  },
})
const numNodes = Number(args.nodes)
const requestsPerMs = Number(args.rate) / 1_000
const durationMs = Number(args.seconds) * 1_000

const maxBatchSize = 32
const pageSize = 16
const pageBytes = 8 * 2 ** 20
const numPages = 8_000
const statusIntervalMs = 250
/** Adapters that a node lists beside those in use: in host memory or on disk. */
const adaptersListed = 1_000
/** The first part of the run is for the compiler. */
const warmUpMs = Math.min(10_000, durationMs / 4)

type Running = { task: Task; nodeId: string; numTokens: number }
type Bare<E> = E extends unknown ? Omit<E, 'nowMs'> : never

const random = createRandom(1)
const adapters = createAdapters(Number(args.adapters), {
  ranks: [8, 16, 32, 64],
  bytesPerRank: 5_000_000,
})
const byDigest = new Map(adapters.map((adapter) => [adapter.digest, adapter]))
const popularity = zipf(0.9, adapters.length)
const scheduler = createScheduler({
  pool: 'default',
  baseModel: null,
  maxQueue: 2_000,
  maxQueuePerTenant: 1_000,
  heartbeatTimeoutMs: 3_000,
  maxRefusals: 5,
  targetInterTokenMs: 25,
  consolidationIntervalMs: 5_000,
})

/** Of each kind of event, in ms: by the clock, and what the process has computed meanwhile. */
const timings = new Map<string, { wall: number[]; cpu: number[] }>()
const running = new Map<string, Running>()
const nodeIds = Array.from({ length: numNodes }, (_, i) => `n${String(i).padStart(5, '0')}`)
const byNode = new Map(nodeIds.map((nodeId) => [nodeId, new Map<string, Running>()]))
/** What each node has of adapters that it does not use. */
const idle = new Map(
  nodeIds.map((nodeId) => {
    const first = random.below(adapters.length - adaptersListed)
    const listed = adapters.slice(first, first + adaptersListed).map(({ digest, sizeBytes }) => ({
      digest,
      sizeBytes,
      tier: 'host' as const,
      requests: 0,
    }))
    return [nodeId, listed]
  }),
)
/** What happens at a later millisecond. */
const agenda = new Map<number, Bare<SchedulerEvent>[]>()
let nowMs = 0
let numRequests = 0
let numMoves = 0

/** Shared, so that it is the scheduler's garbage that is collected while it is timed. */
const tokenArrays = new Map<number, number[]>()
const tokensOf = (length: number): number[] => {
  const known = tokenArrays.get(length)
  if (known !== undefined) return known
  const tokens = new Array<number>(length).fill(1)
  tokenArrays.set(length, tokens)
  return tokens
}

const later = (delayMs: number, event: Bare<SchedulerEvent>): void => {
  const atMs = nowMs + Math.max(1, Math.round(delayMs))
  const events = agenda.get(atMs)
  if (events === undefined) agenda.set(atMs, [event])
  else events.push(event)
}

const send = (event: Bare<SchedulerEvent>): void => {
  const before = process.cpuUsage()
  const startMs = performance.now()
  const commands = scheduler.handle({ nowMs, ...event })
  const tookMs = performance.now() - startMs
  const { user, system } = process.cpuUsage(before)
  if (nowMs >= warmUpMs) {
    const lists = timings.get(event.type) ?? { wall: [], cpu: [] }
    lists.wall.push(tookMs)
    lists.cpu.push((user + system) / 1e3)
    timings.set(event.type, lists)
  }
  for (const command of commands) perform(command)
}

const perform = (command: Command): void => {
  if (command.type === 'assign') {
    const { nodeId, task } = command
    const { requestId, attempt } = task
    const request = { task, nodeId, numTokens: task.tokens.length }
    running.set(requestId, request)
    byNode.get(nodeId)?.set(requestId, request)
    later(2, { type: 'assignAccepted', nodeId, requestId, attempt })
    // Two seconds in the mean: what 64 nodes with batches of 32 hold at 1000 a second.
    const stop = { reason: 'stop' as const, byPressure: false }
    later(random.exponential(1_950), { type: 'ended', nodeId, requestId, attempt, ...stop })
  }
  if (command.type === 'evict') {
    const { nodeId, requestId, attempt } = command
    const request = running.get(requestId)
    if (request === undefined || request.task.attempt !== attempt) return
    numMoves++
    leave(request)
    const tokens = tokensOf(request.numTokens)
    const evicted = { reason: 'evicted' as const, byPressure: false }
    later(12, { type: 'ended', nodeId, requestId, attempt, ...evicted })
    later(14, { type: 'submitted', task: { ...request.task, attempt: attempt + 1, tokens } })
  }
}

const leave = ({ task: { requestId }, nodeId }: Running): void => {
  running.delete(requestId)
  byNode.get(nodeId)?.delete(requestId)
}

/** False for the end of a request that has moved on since. */
const isDue = (event: Bare<SchedulerEvent>): boolean => {
  if (event.type !== 'ended' || event.reason !== 'stop') return true
  const request = running.get(event.requestId)
  if (request === undefined || request.task.attempt !== event.attempt) return false
  leave(request)
  return true
}

const arrive = (): void => {
  const numPromptTokens = 16 + random.below(1_000)
  send({
    type: 'submitted',
    task: {
      requestId: `r${numRequests++}`,
      attempt: 0,
      gatewayId: `gw${random.below(4)}`,
      tenant: `t${random.below(Number(args.tenants))}`,
      adapter: adapters[popularity.draw(random)] ?? null,
      tokens: tokensOf(numPromptTokens),
      numPromptTokens,
      maxNewTokens: 512,
      stopTokens: [],
      ignoreEos: false,
      sampling: { seed: 0 },
      arrivalMs: nowMs,
      deadlineMs: nowMs + 60_000,
    },
  })
}

const toStatus = (nodeId: string): NodeStatus => {
  const own = [...(byNode.get(nodeId)?.values() ?? [])]
  const uses = new Map<string, number>()
  let numUsed = 0
  for (const request of own) {
    request.numTokens = Math.min(request.numTokens + 12, request.task.numPromptTokens + 512)
    numUsed += Math.ceil((request.numTokens + 1) / pageSize)
    const digest = request.task.adapter?.digest
    if (digest !== undefined) uses.set(digest, (uses.get(digest) ?? 0) + 1)
  }
  const inUse = [...uses.keys()].flatMap((digest) => byDigest.get(digest) ?? [])
  for (const { sizeBytes } of inUse) numUsed += Math.ceil(sizeBytes / pageBytes)
  const others = idle.get(nodeId) ?? []
  return {
    nodeId,
    pool: 'default',
    incarnation: 'first',
    state: 'ready',
    timeMs: nowMs,
    baseModel: 'llama-2-7b',
    hardware: {
      backend: 'cuda',
      description: 'NVIDIA H100 80GB HBM3',
      memoryBytes: 80 * 2 ** 30,
      weightBytes: 13_210_000_000,
      kvBytesPerToken: 524_288,
      bandwidthBytesPerSecond: 3.02e12,
      stepOverheadMs: 0.5,
      rowOverheadMs: 0.01,
    },
    maxBatchSize,
    maxContext: 4_096,
    pageSize,
    pageBytes,
    numPages,
    freePages: Math.max(0, numPages - numUsed),
    kvPages: 0,
    adapterPages: 0,
    requests: own.map(({ task: { requestId, attempt, gatewayId }, numTokens }) => ({
      requestId,
      attempt,
      gatewayId,
      numTokens,
    })),
    adapters: [
      ...inUse.map(({ digest, sizeBytes }) => ({
        digest,
        sizeBytes,
        tier: 'device' as const,
        requests: uses.get(digest) ?? 0,
      })),
      ...others.filter(({ digest }) => !uses.has(digest)),
    ],
    counters: {
      steps: Math.floor(nowMs / 20),
      promptTokens: 0,
      generatedTokens: 0,
      maxAdaptersInBatch: uses.size,
      adaptersInBatch: uses.size,
      batchSize: own.length,
      stepMs: 20,
    },
  }
}

let mostWaiting = 0
let due = 0
for (nowMs = 0; nowMs < durationMs; nowMs++) {
  for (const [i, nodeId] of nodeIds.entries()) {
    // Spread over the interval, and all of them at once at the start.
    if (nowMs === 0 || (nowMs + i) % statusIntervalMs === 0) {
      send({ type: 'nodeReported', status: toStatus(nodeId) })
    }
  }
  if (nowMs % 300 === 0) send({ type: 'tick' })
  if (nowMs % 1_000 === 0) {
    for (let i = 0; i < 4; i++) {
      send({ type: 'gatewayReported', gatewayId: `gw${i}`, leaving: false })
    }
  }
  for (const event of agenda.get(nowMs) ?? []) if (isDue(event)) send(event)
  agenda.delete(nowMs)
  // A wave every twenty seconds, at whose top more come than the nodes can hold.
  const wave = 1 + 0.15 * Math.sin((2 * Math.PI * nowMs) / 20_000)
  for (due += requestsPerMs * wave * 2 * random.next(); due >= 1; due--) arrive()
  mostWaiting = Math.max(mostWaiting, scheduler.queueLength())
}

const quantile = (sorted: readonly number[], q: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? 0

const print = (kind: string, list: readonly number[]): void => {
  const sorted = list.toSorted((a, b) => a - b)
  const cells = [0.5, 0.99, 0.999, 1].map((q) => quantile(sorted, q).toFixed(4).padStart(10))
  console.log(kind.padEnd(16) + String(sorted.length).padStart(9) + cells.join(''))
}

console.log(
  `${numNodes} nodes, ${adapters.length} adapters, ${args.rate} requests/s for ${args.seconds} s:` +
    ` ${numRequests} requests, ${numMoves} moves, at most ${mostWaiting} waiting; ms per event`,
)
const printAll = (title: string, clock: 'wall' | 'cpu'): void => {
  console.log(`\n${title}\n${'event'.padEnd(16)}   events       p50       p99     p99.9       max`)
  const lists = [...timings].map(([kind, { [clock]: list }]) => [kind, list] as const)
  for (const [kind, list] of lists) print(kind, list)
  print(
    'all but ticks',
    lists.filter(([kind]) => kind !== 'tick').flatMap(([, list]) => list),
  )
}

printAll('By the clock, with whatever else the machine does meanwhile:', 'wall')
printAll('Computed by the process, compiler and garbage collector included:', 'cpu')
