import { memoryBus, type Problem } from '@punica/bus'
import { collect } from '@punica/bus/testing'
import { EngineError } from '@punica/native-sgmv'
import {
  type AdapterRef,
  type AssignReply,
  channels,
  type NodeEvent,
  NodeStatus,
  type Task,
  type TokenBatch,
} from '@punica/schema'
import { createMetrics, noTracing, pino } from '@punica/service'
import { afterEach, expect, test } from 'vitest'
import { createAdapters } from './adapters/adapters.ts'
import type { DiskCache } from './adapters/disk-cache.ts'
import { serveNode } from './node.ts'
import { createFakeEngine } from './testing/fake-engine.ts'
import { storedAdapter, task } from './testing/fixtures.ts'

const adapterA = storedAdapter('a').ref
const adapterB = storedAdapter('b').ref
const stops: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const stop of stops.splice(0)) await stop()
})

/** Waits for messages that fit a description, whatever else arrives before. */
const waitFor = <T>() => {
  const seen: T[] = []
  let look = (): void => {}
  return {
    seen,
    push: (item: T): void => {
      seen.push(item)
      look()
    },
    find: async (fits: (item: T) => boolean): Promise<T> => {
      for (;;) {
        const found = seen.find(fits)
        if (found !== undefined) return found
        await new Promise<void>((resolve) => {
          look = resolve
        })
      }
    },
  }
}

const start = async ({ numSlots = 64 } = {}) => {
  const problems = collect<Problem>()
  const bus = memoryBus({ onProblem: problems.push })
  const fake = createFakeEngine({ numSlots })
  const disk: DiskCache = {
    withFolder: ({ digest }: AdapterRef, work) => work(`/disk/${digest}`),
    remove: async () => {},
    list: () => [],
  }
  const events = waitFor<NodeEvent>()
  const batches = waitFor<TokenBatch>()
  bus.subscribe(channels.nodeEvents('default'), events.push)
  bus.subscribe(channels.tokens('gw'), batches.push)
  const controller = new AbortController()
  let serving: Promise<void> = Promise.resolve()
  await new Promise<void>((resolve) => {
    serving = serveNode(controller.signal, {
      bus,
      engine: fake.engine,
      adapters: createAdapters({ engine: fake.engine, disk }),
      disk,
      log: pino({ level: 'silent' }),
      metrics: createMetrics('gpu-node'),
      refusals: { refuse: () => {} },
      tracing: noTracing,
      config: {
        pool: 'default',
        nodeId: 'n1',
        baseModel: 'base',
        maxBatchSize: 4,
      },
      ready: () => resolve(),
    })
  })
  // A test that expects the node to fail awaits it itself.
  serving.catch(() => {})
  const stop = async (): Promise<void> => {
    controller.abort()
    await bus.flush()
    fake.step()
    await Promise.allSettled([serving])
  }
  stops.push(stop)

  const assign = (what: Task, epoch = 1): Promise<AssignReply> =>
    bus.request(channels.assign('n1'), { epoch, task: what }, { timeoutMs: 1_000 })
  const command = (type: 'cancel' | 'evict', requestId: string, epoch = 1, attempt = 0) =>
    bus.publish(channels.nodeCommand('n1'), { type, epoch, requestId, attempt })
  /** The next status that fits. */
  const status = async (fits: (status: NodeStatus) => boolean): Promise<NodeStatus> => {
    const event = await events.find((e) => e.type === 'status' && fits(e.status))
    return NodeStatus.parse(event.type === 'status' ? event.status : null)
  }
  const end = (requestId: string, attempt = 0) =>
    batches
      .find(({ ends }) => ends.some((e) => e.requestId === requestId && e.attempt === attempt))
      .then(({ ends }) => ends.find((e) => e.requestId === requestId && e.attempt === attempt))
  return {
    ...fake,
    bus,
    problems,
    events,
    batches,
    assign,
    command,
    status,
    end,
    abort: () => controller.abort(),
    serving: () => serving,
  }
}

test('a request runs to its end: tokens in order, one end, the router told', async () => {
  const { assign, step, batches, end, events } = await start()
  expect(await assign(task('r1'))).toEqual({ type: 'accepted' })
  for (let i = 0; i < 3; i++) step()
  expect(await end('r1')).toEqual({ requestId: 'r1', attempt: 0, reason: 'length', numTokens: 3 })
  const tokens = batches.seen.flatMap((batch) => batch.tokens)
  expect(tokens.map(({ index, token }) => [index, token])).toEqual([
    [0, 100],
    [1, 101],
    [2, 102],
  ])
  expect(batches.seen.map(({ seq }) => seq)).toEqual([1, 2, 3])
  expect(await events.find(({ type }) => type === 'ended')).toEqual({
    type: 'ended',
    nodeId: 'n1',
    requestId: 'r1',
    attempt: 0,
    reason: 'length',
    byPressure: false,
  })
})

test('one batch a step for each gateway', async () => {
  const { bus, assign, step, batches } = await start()
  const others = collect<TokenBatch>()
  bus.subscribe(channels.tokens('other'), others.push)
  await assign(task('r1'))
  await assign(task('r2'))
  await assign(task('r3', { gatewayId: 'other' }))
  step()
  const [other] = await others.take(1)
  expect(other?.tokens.map(({ requestId }) => requestId)).toEqual(['r3'])
  const batch = await batches.find(({ tokens }) => tokens.length > 0)
  expect(batch.tokens.map(({ requestId }) => requestId)).toEqual(['r1', 'r2'])
  expect(batch.batchSize).toBe(3)
})

test('the engine gets what the task says, and a cache key of adapter and tenant', async () => {
  const { assign, running, status } = await start()
  const sampling = { seed: 5, temperature: 0.5, logitBias: [[3, -1] as [number, number]] }
  await assign(task('r1', { adapter: adapterA, sampling, stopTokens: [2], ignoreEos: true }))
  await status(({ adapters }) => adapters.length === 1)
  expect([...running.values()].map(({ request }) => request)).toMatchObject([
    {
      adapter: 1,
      cacheKey: `${adapterA.digest}:acme`,
      sampling: { seed: 5n, temperature: 0.5, logitBias: [[3, -1]] },
      stopTokens: [2],
      ignoreEos: true,
    },
  ])
})

test('a continued request goes on at the next index', async () => {
  const { assign, step, batches, end } = await start()
  await assign(task('r1', { attempt: 2, tokens: [1, 2, 3, 100], numPromptTokens: 3 }))
  step()
  step()
  expect(await end('r1', 2)).toMatchObject({ reason: 'length', numTokens: 3 })
  expect(batches.seen.flatMap((b) => b.tokens).map(({ index }) => index)).toEqual([1, 2])
})

test('a request waits for its adapter while the others run', async () => {
  const { assign, hooks, step, batches, running, status, end } = await start()
  let arrive = (): void => {}
  hooks.load = () => new Promise((resolve) => (arrive = resolve))
  expect(await assign(task('waits', { adapter: adapterA }))).toEqual({ type: 'accepted' })
  await assign(task('runs'))
  step()
  await batches.find(({ tokens }) => tokens.some(({ requestId }) => requestId === 'runs'))
  const waiting = await status(({ requests }) => requests.length === 2)
  // 1 page of KV each, and 3 for the adapter that is on its way.
  expect(waiting.freePages).toBe(64 - 1 - 1 - 3)
  arrive()
  await status(({ adapters }) => adapters[0]?.requests === 1)
  expect(running.size).toBe(2)
  step()
  step()
  step()
  expect(await end('waits')).toMatchObject({ reason: 'length' })
  const after = await status(
    ({ requests, adapters }) => requests.length === 0 && adapters.length === 1,
  )
  expect(after).toMatchObject({ freePages: 64, adapters: [{ tier: 'device', requests: 0 }] })
})

test('an adapter that cannot be had ends its request with the reason, and no other', async () => {
  const { assign, hooks, end, running } = await start()
  hooks.load = async () => {
    throw new EngineError('adapter_invalid', 'lora_B of layer 3 is missing')
  }
  await assign(task('runs'))
  await assign(task('r1', { adapter: adapterA }))
  expect(await end('r1')).toMatchObject({
    reason: 'error',
    numTokens: 0,
    error: { code: 'adapter_invalid', message: 'lora_B of layer 3 is missing' },
  })
  expect(running.size).toBe(1)
})

test('what the engine does not take is refused with its words', async () => {
  const { assign, status } = await start()
  const tokens = new Array(256).fill(1)
  expect(await assign(task('r1', { tokens, numPromptTokens: 256 }))).toEqual({
    type: 'refused',
    error: { code: 'invalid_request', message: 'tokens: must be fewer than 256' },
  })
  expect(await assign(task('r2', { numPromptTokens: 9 }))).toMatchObject({
    type: 'refused',
    error: { code: 'invalid_request', param: 'numPromptTokens' },
  })
  expect((await status(() => true)).requests).toEqual([])
})

test('more than the node can hold is refused', async () => {
  const { assign } = await start()
  for (let i = 0; i < 8; i++) expect((await assign(task(`r${i}`))).type).toBe('accepted')
  expect(await assign(task('r8'))).toMatchObject({ error: { code: 'overloaded' } })
})

test('the same attempt again is accepted and runs once', async () => {
  const { assign, running } = await start()
  await assign(task('r1'))
  expect(await assign(task('r1'))).toEqual({ type: 'accepted' })
  expect(running.size).toBe(1)
})

test('a router that was replaced is not obeyed', async () => {
  const { assign, command, step, running, batches } = await start()
  await assign(task('r1', { maxNewTokens: 9 }), 5)
  expect(await assign(task('r2'), 4)).toMatchObject({
    type: 'refused',
    error: { code: 'unavailable' },
  })
  command('cancel', 'r1', 4)
  step()
  await batches.find(({ tokens }) => tokens.length > 0)
  expect(running.size).toBe(1)
})

test('cancel and evict take effect after the step, tokens first', async () => {
  const { bus, assign, command, step, end, batches } = await start()
  await assign(task('r1'))
  await assign(task('r2'))
  step()
  command('cancel', 'r1')
  command('evict', 'r2')
  await bus.flush()
  step()
  expect(await end('r1')).toMatchObject({ reason: 'cancelled', numTokens: 1 })
  expect(await end('r2')).toMatchObject({ reason: 'evicted', numTokens: 1 })
  expect(batches.seen.map(({ tokens }) => tokens.length)).toEqual([2, 0])
})

test('cancel and evict of a request that waits for its adapter take effect at once', async () => {
  const { assign, command, hooks, end, running, status } = await start()
  let arrive = (): void => {}
  hooks.load = () => new Promise((resolve) => (arrive = resolve))
  await assign(task('r1', { adapter: adapterA }))
  await assign(task('r2', { adapter: adapterA }))
  command('cancel', 'r1')
  command('evict', 'r2')
  expect(await end('r1')).toMatchObject({ reason: 'cancelled', numTokens: 0 })
  expect(await end('r2')).toMatchObject({ reason: 'evicted', numTokens: 0 })
  arrive()
  const after = await status(({ adapters }) => adapters.length === 1)
  expect(after.adapters[0]?.requests).toBe(0)
  expect(running.size).toBe(0)
})

test('out of pages: the newest is evicted and the router is told why', async () => {
  const { assign, step, events, end } = await start({ numSlots: 2 })
  const tokens = new Array(15).fill(1)
  await assign(task('old', { tokens, numPromptTokens: 15 }))
  await assign(task('new', { tokens, numPromptTokens: 15 }))
  step()
  step()
  expect(await end('new')).toMatchObject({ reason: 'evicted', numTokens: 1 })
  expect(await events.find(({ type }) => type === 'ended')).toMatchObject({
    requestId: 'new',
    reason: 'evicted',
    byPressure: true,
  })
})

test('a failed step ends its requests as internal, and the node goes on', async () => {
  const { assign, failStep, step, end, status } = await start()
  await assign(task('r1'))
  failStep('CUDA error 700 in rope.cu')
  expect(await end('r1')).toEqual({
    requestId: 'r1',
    attempt: 0,
    reason: 'error',
    numTokens: 0,
    error: { code: 'internal', message: 'The engine failed while it made the next token' },
  })
  await assign(task('r2'))
  for (let i = 0; i < 3; i++) step()
  expect(await end('r2')).toMatchObject({ reason: 'length' })
  expect((await status(({ counters }) => counters.steps === 4)).state).toBe('ready')
})

test('an engine that fails again and again ends the node, and its requests move', async () => {
  const { assign, failStep, hooks, end, status, serving } = await start()
  hooks.load = () => new Promise(() => {})
  await assign(task('waits', { adapter: adapterA }))
  for (let i = 0; i < 3; i++) failStep('device lost')
  expect(await end('waits')).toMatchObject({ reason: 'evicted' })
  expect(await status(({ state }) => state === 'failed')).toMatchObject({
    reason: 'device lost',
    requests: [],
  })
  await expect(serving()).rejects.toThrow('The engine has failed: device lost')
})

test('a lost device ends the node at once; tokens come first, and its requests move', async () => {
  const { assign, step, failStep, end, status, serving, batches } = await start()
  await assign(task('r1'))
  step()
  failStep('CUDA error 700 in rope.cu', { deviceLost: true })
  expect(await end('r1')).toMatchObject({ reason: 'evicted', numTokens: 1 })
  expect(batches.seen.flatMap(({ tokens }) => tokens)).toHaveLength(1)
  expect(await status(({ state }) => state === 'failed')).toMatchObject({
    reason: 'CUDA error 700 in rope.cu',
    requests: [],
  })
  await expect(serving()).rejects.toThrow('CUDA error 700 in rope.cu')
})

test('an engine that no longer answers ends the node', async () => {
  const { assign, engine, end, status, serving } = await start()
  await assign(task('r1'))
  await engine.close()
  expect(await end('r1')).toMatchObject({ reason: 'evicted' })
  expect(await status(({ state }) => state === 'failed')).toMatchObject({
    reason: expect.stringContaining('does not answer'),
  })
  await expect(serving()).rejects.toThrow('does not answer')
})

test('a stop evicts everything, says so, and then leaves', async () => {
  const { assign, hooks, step, status, end, events, abort, serving } = await start()
  hooks.load = () => new Promise(() => {})
  await assign(task('runs'))
  await assign(task('waits', { adapter: adapterB }))
  step()
  abort()
  await status(({ state }) => state === 'draining')
  expect(await end('waits')).toMatchObject({ reason: 'evicted' })
  expect(await assign(task('late'))).toMatchObject({ error: { code: 'unavailable' } })
  step()
  expect(await end('runs')).toMatchObject({ reason: 'evicted', numTokens: 1 })
  await serving()
  expect(events.seen.at(-1)).toEqual({ type: 'leaving', nodeId: 'n1' })
})

test('a leader that is heard of while the node leaves does not bring it back', async () => {
  const { bus, events, abort, serving } = await start()
  bus.subscribe(channels.nodeEvents('default'), ({ type }) => {
    if (type === 'leaving') bus.publish(channels.leader('default'), { epoch: 2 })
  })
  abort()
  await serving()
  expect(events.seen.at(-1)).toEqual({ type: 'leaving', nodeId: 'n1' })
})

test('a gap is replayed by number', async () => {
  const { bus, assign, step, batches } = await start()
  await assign(task('r1'))
  step()
  step()
  const { incarnation } = await batches.find(({ seq }) => seq === 2)
  const reply = await bus.request(
    channels.replay('n1'),
    { gatewayId: 'gw', incarnation, fromSeq: 1, toSeq: 2 },
    { timeoutMs: 1_000 },
  )
  expect(reply).toEqual({ type: 'batches', batches: batches.seen.slice(0, 2) })
})

test('a malformed message is dropped and nothing else is affected', async () => {
  const { bus, problems, assign, step, end } = await start()
  await assign(task('r1', { maxNewTokens: 1 }))
  const anything = {
    subject: 'punica.node.n1.assign',
    schema: channels.submit('x').request.or(channels.cancel('x').schema),
  }
  bus.publish(anything, { requestId: 'r2', gatewayId: 'gw' })
  const [problem] = await problems.take(1)
  expect(problem).toMatchObject({ kind: 'invalid', subject: 'punica.node.n1.assign' })
  step()
  expect(await end('r1')).toMatchObject({ reason: 'length' })
})
