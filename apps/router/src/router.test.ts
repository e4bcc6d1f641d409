import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { type Bus, memoryBus } from '@punica/bus'
import { collect } from '@punica/bus/testing'
import { createScheduler, readLog, toLogged } from '@punica/scheduler'
import {
  type AssignRequest,
  channels,
  type Decision,
  type GatewayEvent,
  type NodeCommand,
  type NodeStatus,
  nodeRecords,
  poolRecords,
  type Task,
  tenantRecords,
  type WaitingRequest,
} from '@punica/schema'
import { createMetrics, noTracing, pino } from '@punica/service'
import { afterEach, expect, test } from 'vitest'
import { Config } from './config.ts'
import { routeUntil } from './router.ts'

const task = (requestId: string, rest: Partial<Task> = {}): Task => ({
  requestId,
  attempt: 0,
  gatewayId: 'gw',
  tenant: 'acme',
  adapter: null,
  tokens: [1, 2, 3],
  numPromptTokens: 3,
  maxNewTokens: 8,
  stopTokens: [],
  ignoreEos: false,
  sampling: { seed: 0 },
  arrivalMs: 0,
  deadlineMs: Date.now() + 60_000,
  ...rest,
})

const status = (nodeId: string, rest: Partial<NodeStatus> = {}): NodeStatus => ({
  nodeId,
  pool: 'default',
  incarnation: 'first',
  state: 'ready',
  timeMs: 0,
  baseModel: 'base',
  hardware: { backend: 'cpu', description: 'test', memoryBytes: 0 },
  maxBatchSize: 1,
  maxContext: 64,
  pageSize: 16,
  pageBytes: 100,
  numPages: 64,
  freePages: 64,
  kvPages: 0,
  adapterPages: 0,
  requests: [],
  adapters: [],
  counters: {
    steps: 0,
    promptTokens: 0,
    generatedTokens: 0,
    maxAdaptersInBatch: 0,
    adaptersInBatch: 0,
    batchSize: 0,
    stepMs: 0,
  },
  ...rest,
})

const submitOptions = { timeoutMs: 1_000 }
const stops: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const stop of stops.splice(0)) await stop()
})

const start = async ({ bus = memoryBus(), ...changed }: Partial<Config> & { bus?: Bus } = {}) => {
  const metrics = createMetrics('router')
  const controller = new AbortController()
  let routing: Promise<void> = Promise.resolve()
  await new Promise<void>((resolve) => {
    routing = routeUntil(controller.signal, {
      bus,
      log: pino({ level: 'silent' }),
      metrics,
      refusals: { refuse: () => {} },
      tracing: noTracing,
      config: {
        ...Config.parse({ MAX_QUEUE: 10 }),
        heartbeatTimeoutMs: 60_000,
        settleMs: 0,
        ...changed,
      },
      ready: ({ role }) => {
        if (role === 'leader') resolve()
      },
    })
  })
  const gateway = collect<GatewayEvent>()
  bus.subscribe(channels.gatewayEvents('gw'), gateway.push)
  const stop = async (): Promise<void> => {
    controller.abort()
    await routing
  }
  stops.push(stop)
  return {
    bus,
    gateway,
    metrics,
    stop,
    report: (what: NodeStatus) =>
      bus.publish(channels.nodeEvents('default'), { type: 'status', status: what }),
    submit: (what: Task) => bus.request(channels.submit('default'), what, submitOptions),
  }
}

test('a submitted task is queued and assigned to the node with the epoch', async () => {
  const { bus, report, submit, metrics } = await start()
  const assigned = collect<AssignRequest>()
  bus.serve(channels.assign('a'), (message) => {
    assigned.push(message)
    return { type: 'accepted' }
  })
  report(status('a'))
  expect(await submit(task('r1'))).toEqual({ type: 'queued' })
  const [first] = await assigned.take(1)
  expect(first?.task).toEqual(task('r1', { deadlineMs: first?.task.deadlineMs ?? 0 }))
  expect(first?.epoch).toBeGreaterThan(0)
  const { body } = await metrics.render()
  expect(body).toContain('punica_router_decisions_total{kind="place",service="router"} 1')
})

test('a full queue is the reply to the submission, with a hint', async () => {
  const { submit, gateway } = await start({ maxQueue: 1, maxQueuePerTenant: 1 })
  await submit(task('r1'))
  expect(await submit(task('r2'))).toMatchObject({
    type: 'refused',
    error: { code: 'overloaded', retryAfterMs: expect.any(Number) },
  })
  expect(gateway.items).toEqual([])
})

test('a cancel reaches the node, and the end makes room for the next', async () => {
  const { bus, report, submit } = await start()
  const assigned = collect<AssignRequest>()
  bus.serve(channels.assign('a'), (message) => {
    assigned.push(message)
    return { type: 'accepted' }
  })
  bus.subscribe(channels.nodeCommand('a'), ({ type, requestId, attempt }) => {
    const reason = type === 'cancel' ? 'cancelled' : 'evicted'
    bus.publish(channels.nodeEvents('default'), {
      type: 'ended',
      nodeId: 'a',
      requestId,
      attempt,
      reason,
      byPressure: false,
    })
  })
  report(status('a'))
  await submit(task('r1'))
  await submit(task('r2'))
  await assigned.take(1)
  bus.publish(channels.cancel('default'), { requestId: 'r1', gatewayId: 'gw' })
  const [, second] = await assigned.take(2)
  expect(second?.task.requestId).toBe('r2')
})

test('a refusal for good reaches the gateway', async () => {
  const { bus, report, submit, gateway } = await start()
  const error = { code: 'invalid_request' as const, message: 'token 99 is outside the vocabulary' }
  bus.serve(channels.assign('a'), () => ({ type: 'refused' as const, error }))
  report(status('a'))
  await submit(task('r1'))
  expect(await gateway.take(1)).toMatchObject([
    { type: 'rejected', requestId: 'r1', attempt: 0, error },
  ])
})

test('a node that nobody answers for is left alone until it reports again', async () => {
  const { bus, report, submit, gateway } = await start()
  report(status('a'))
  await submit(task('r1'))
  expect(await gateway.take(1)).toMatchObject([
    { type: 'interrupted', requestId: 'r1', attempt: 0 },
  ])
  await submit(task('r1', { attempt: 1 }))
  const assigned = collect<AssignRequest>()
  bus.serve(channels.assign('a'), (message) => {
    assigned.push(message)
    return { type: 'accepted' }
  })
  report(status('a'))
  const [first] = await assigned.take(1)
  expect(first?.task.attempt).toBe(1)
})

test('the requests of a silent node are interrupted', async () => {
  const { bus, report, submit, gateway } = await start({ heartbeatTimeoutMs: 100 })
  bus.serve(channels.assign('a'), () => ({ type: 'accepted' }))
  const alive = setInterval(
    () =>
      bus.publish(channels.gatewayStatus('default'), {
        gatewayId: 'gw',
        requests: 1,
        leaving: false,
      }),
    20,
  )
  report(status('a'))
  await submit(task('r1'))
  expect(await gateway.take(1)).toMatchObject([
    { type: 'interrupted', requestId: 'r1', attempt: 0 },
  ])
  clearInterval(alive)
})

test('a standby answers nothing, and leads as soon as the leader stops', async () => {
  const bus = memoryBus()
  const first = await start({ bus })
  const announced = collect<number>()
  bus.subscribe(channels.leader('default'), ({ epoch }) => announced.push(epoch))
  const second = start({ bus })
  expect(await first.submit(task('r1'))).toEqual({ type: 'queued' })
  await first.stop()
  await second
  await announced.take(1)
  const assigned = collect<AssignRequest>()
  bus.serve(channels.assign('a'), (message) => {
    assigned.push(message)
    return { type: 'accepted' }
  })
  first.report(status('a'))
  expect(await first.submit(task('r2'))).toEqual({ type: 'queued' })
  const [message] = await assigned.take(1)
  expect(message).toMatchObject({ task: { requestId: 'r2' }, epoch: announced.items.at(-1) })
})

test('a new leader asks each gateway for all that it waits for', async () => {
  const bus = memoryBus()
  const asked = collect<WaitingRequest>()
  bus.serve(channels.waiting('gw'), (request) => {
    asked.push(request)
    const requests = [{ requestId: `r${request.page}`, attempt: 0, nodeId: 'a' }]
    return { requests, isLast: request.page === 1 }
  })
  const { report, gateway } = await start({ bus })
  const say = () =>
    bus.publish(channels.gatewayStatus('default'), {
      gatewayId: 'gw',
      requests: 2,
      leaving: false,
    })
  report(status('a'))
  say()
  say()
  expect(await gateway.take(2)).toMatchObject([
    { type: 'interrupted', requestId: 'r0' },
    { type: 'interrupted', requestId: 'r1' },
  ])
  expect(asked.items.map(({ page }) => page)).toEqual([0, 1])
  expect(asked.items[0]?.epoch).toBeGreaterThan(0)
})

test('a node that has not heard of the leader is told, and until then not believed', async () => {
  const { bus, report, submit } = await start()
  const assigned = collect<AssignRequest>()
  bus.serve(channels.assign('a'), (message) => {
    assigned.push(message)
    return { type: 'accepted' }
  })
  bus.subscribe(channels.leader('default'), ({ epoch }) => report(status('a', { epoch })))
  expect(await submit(task('r1'))).toEqual({ type: 'queued' })
  report(status('a', { epoch: 1, requests: [{ requestId: 'r1', attempt: 0 }] }))
  const [message] = await assigned.take(1)
  expect(message?.task.requestId).toBe('r1')
})

test('decisions are published', async () => {
  const { bus, submit } = await start()
  const decisions = collect<string>()
  bus.subscribe(channels.decisions('default'), ({ kind, reason }) =>
    decisions.push(`${kind}: ${reason}`),
  )
  await submit(task('r1'))
  expect(await decisions.take(1)).toEqual(['queue: no node is ready'])
})

test('the quotas of the catalog hold from the first request', async () => {
  const bus = memoryBus()
  const tenants = await bus.records(tenantRecords)
  const record = {
    slug: 'acme',
    suspended: false,
    weight: 1,
    maxConcurrentRequests: 1,
    maxTokensPerMinute: null,
  }
  await tenants.put('acme', record)
  const { submit } = await start({ bus })
  expect(await submit(task('r1'))).toEqual({ type: 'queued' })
  expect(await submit(task('r2'))).toMatchObject({
    type: 'refused',
    error: { code: 'quota_exceeded', retryAfterMs: expect.any(Number) },
  })
  await tenants.put('acme', { ...record, maxConcurrentRequests: null })
  await bus.flush()
  expect(await submit(task('r3'))).toEqual({ type: 'queued' })
})

test('a node that an operator drains is told to let go, and the request lands elsewhere', async () => {
  const { bus, report, submit, metrics } = await start()
  const assigned = collect<AssignRequest & { nodeId: string }>()
  for (const nodeId of ['a', 'b']) {
    bus.serve(channels.assign(nodeId), (message) => {
      assigned.push({ ...message, nodeId })
      return { type: 'accepted' }
    })
  }
  const commands = collect<NodeCommand>()
  bus.subscribe(channels.nodeCommand('b'), commands.push)
  const decisions = collect<Decision['kind']>()
  bus.subscribe(channels.decisions('default'), ({ kind }) => decisions.push(kind))

  report(status('b'))
  await submit(task('r1', { maxNewTokens: 50 }))
  const [first] = await assigned.take(1)
  expect(first?.nodeId).toBe('b')
  await bus.flush()
  report(status('a'))
  bus.publish(channels.admin('default'), { type: 'drain', nodeId: 'b' })
  const [evict] = await commands.take(1)
  expect(evict).toEqual({ type: 'evict', epoch: first?.epoch, requestId: 'r1', attempt: 0 })
  const ended = { type: 'ended' as const, nodeId: 'b', requestId: 'r1', attempt: 0 }
  bus.publish(channels.nodeEvents('default'), { ...ended, reason: 'evicted', byPressure: false })
  await submit(task('r1', { attempt: 1, maxNewTokens: 50, tokens: [1, 2, 3, 4] }))
  const [, second] = await assigned.take(2)
  expect(second).toMatchObject({ nodeId: 'a', task: { attempt: 1 } })
  expect(decisions.items).toEqual(['place', 'drain', 'evict', 'move'])

  bus.publish(channels.admin('default'), { type: 'uncordon', nodeId: 'b' })
  await bus.flush()
  const { body } = await metrics.render()
  expect(body).toContain('punica_router_moves_total{reason="drain",service="router"} 1')
  expect(body).not.toContain('reason="evicted"')
  expect(body).toContain('punica_router_reprefilled_tokens_total{service="router"} 4')
  expect(body).toContain('punica_router_active_nodes_lower_bound{service="router"} 1')
})

test('the queue and its wait are shown by tenant', async () => {
  const { bus, report, submit, metrics } = await start()
  bus.serve(channels.assign('a'), () => ({ type: 'accepted' }))
  const arrivalMs = Date.now() - 10_000
  await submit(task('r1', { tenant: 'globex', arrivalMs }))
  await submit(task('r2', { tenant: 'globex', arrivalMs }))
  const before = (await metrics.render()).body
  expect(before).toContain('punica_router_tenant_queue_length{tenant="globex",service="router"} 2')
  report(status('a'))
  await bus.flush()
  const after = (await metrics.render()).body
  expect(after).toContain('punica_router_queue_length{service="router"} 1')
  expect(after).toContain('punica_router_tenant_queue_length{tenant="globex",service="router"} 1')
  expect(after).toContain('punica_router_placed_requests_total{tenant="globex",service="router"} 1')
  const waited = /queue_wait_seconds_total\{tenant="globex",service="router"\} (\S+)/.exec(after)
  expect(Number(waited?.[1])).toBeGreaterThanOrEqual(10)
})

test('what the catalog says of nodes and of the pool holds for a router that starts later', async () => {
  const bus = memoryBus()
  const nodes = await bus.records(nodeRecords)
  const pools = await bus.records(poolRecords)
  await nodes.put('b', { nodeId: 'b', pool: 'default', scheduling: 'cordoned' })
  await nodes.put('c', { nodeId: 'c', pool: 'elsewhere', scheduling: 'cordoned' })
  const limits = { name: 'default', baseModel: 'base', maxNodes: null, interTokenTargetMs: null }
  await pools.put('default', { ...limits, maxBatchSize: 1 })
  const { report, submit } = await start({ bus })
  const assigned = collect<string>()
  for (const nodeId of ['a', 'b', 'c']) {
    bus.serve(channels.assign(nodeId), () => {
      assigned.push(nodeId)
      return { type: 'accepted' }
    })
  }
  // The largest id would be next, were b not cordoned; c is not this pool's to cordon.
  report(status('a', { maxBatchSize: 8 }))
  report(status('b', { maxBatchSize: 8 }))
  for (const id of ['r1', 'r2', 'r3']) await submit(task(id))
  expect(await assigned.take(1)).toEqual(['a'])
  report(status('c', { maxBatchSize: 8 }))
  expect(await assigned.take(2)).toEqual(['a', 'c'])
  await nodes.delete('b')
  expect(await assigned.take(3)).toEqual(['a', 'c', 'b'])
})

test('a term is recorded as it went, so that it can be run again', async () => {
  const recordFolder = await mkdtemp(path.join(tmpdir(), 'punica-record-'))
  try {
    const { report, submit, stop } = await start({ recordFolder })
    report(status('n1'))
    expect(await submit(task('r1'))).toEqual({ type: 'queued' })
    await stop()
    const [file = ''] = await readdir(recordFolder)
    const text = await readFile(path.join(recordFolder, file), 'utf8')
    const { options, steps } = readLog(text.trimEnd().split('\n'))
    expect(steps.map(({ event }) => event.type)).toEqual(
      expect.arrayContaining(['tookOver', 'nodeReported', 'submitted']),
    )
    const again = createScheduler(options)
    for (const { event, commands } of steps) {
      expect(JSON.parse(JSON.stringify(toLogged(again.handle(event))))).toEqual(commands)
    }
  } finally {
    await rm(recordFolder, { recursive: true })
  }
})
