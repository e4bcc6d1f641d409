import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { connectBus, connectNats } from '@punica/bus'
import { startNatsServer } from '@punica/bus/testing'
import { createEngine } from '@punica/native-sgmv'
import { natsObjectStore } from '@punica/object-store'
import {
  type AdapterRef,
  type AssignReply,
  channels,
  type ProbeReply,
  type Task,
  type TokenBatch,
} from '@punica/schema'
import { createMetrics, noTracing, pino } from '@punica/service'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createAdapters } from './adapters/adapters.ts'
import { openDiskCache } from './adapters/disk-cache.ts'
import { serveNode } from './node.ts'
import { task } from './testing/fixtures.ts'

// The node with a real engine, the demo model, a real nats-server and its object store.

const models = fileURLToPath(new URL('../../../models', import.meta.url))
const closers: (() => Promise<unknown>)[] = []
afterAll(async () => {
  for (const close of closers) await close()
})

type End = TokenBatch['ends'][number]

const start = async () => {
  const nats = await startNatsServer()
  closers.unshift(nats.stop)
  const bus = await connectBus({ url: nats.url })
  closers.unshift(bus.close)
  const bulk = await connectNats({ url: nats.url })
  closers.unshift(() => bulk.close())
  const store = await natsObjectStore(bulk)
  const folder = await mkdtemp(path.join(tmpdir(), 'punica-node-'))
  closers.unshift(() => rm(folder, { recursive: true }))
  const engine = await createEngine({
    modelFolder: path.join(models, 'base'),
    numThreads: 1,
    poolBytes: 32 * 1024 ** 2,
    hostAdapterBytes: 64 * 1024 ** 2,
  })
  closers.unshift(engine.close)
  const disk = await openDiskCache({ folder, maxBytes: 1024 ** 3, source: store })
  const controller = new AbortController()
  let serving: Promise<void> = Promise.resolve()
  await new Promise<void>((resolve) => {
    serving = serveNode(controller.signal, {
      bus,
      engine,
      adapters: createAdapters({ engine, disk }),
      disk,
      log: pino({ level: 'silent' }),
      metrics: createMetrics('gpu-node'),
      refusals: { refuse: () => {} },
      tracing: noTracing,
      config: {
        pool: 'default',
        nodeId: 'n1',
        baseModel: 'base',
        maxBatchSize: 32,
      },
      ready: () => resolve(),
    })
  })
  closers.unshift(async () => {
    controller.abort()
    await serving
  })
  return { bus, store, folder, model: engine.model }
}

let node: Awaited<ReturnType<typeof start>>
beforeAll(async () => {
  node = await start()
})

const assign = (what: Task): Promise<AssignReply> =>
  node.bus.request(channels.assign('n1'), { epoch: 1, task: what }, { timeoutMs: 5_000 })

/** Follows the requests of one gateway of its own. */
const follow = (gatewayId: string) => {
  const tokens = new Map<string, number[]>()
  const ends = new Map<string, End>()
  let wake = (): void => {}
  node.bus.subscribe(channels.tokens(gatewayId), (batch) => {
    for (const { requestId, token } of batch.tokens) {
      tokens.set(requestId, [...(tokens.get(requestId) ?? []), token])
    }
    for (const end of batch.ends) ends.set(end.requestId, end)
    wake()
  })
  return {
    tokens,
    end: async (requestId: string): Promise<End | undefined> => {
      while (!ends.has(requestId)) {
        await new Promise<void>((resolve) => {
          wake = resolve
        })
      }
      return ends.get(requestId)
    },
    received: async (requestId: string, count: number): Promise<void> => {
      while ((tokens.get(requestId)?.length ?? 0) < count) {
        await new Promise<void>((resolve) => {
          wake = resolve
        })
      }
    },
  }
}

const upload = async (name: string, weights?: Uint8Array): Promise<AdapterRef> => {
  const folder = path.join(models, 'adapters', name)
  const put = async (
    file: AdapterRef['files'][number]['name'],
    data: AsyncIterable<Uint8Array>,
  ) => ({
    name: file,
    ...(await node.store.put(data, { maxBytes: 1024 ** 3 })),
  })
  const config = await put(
    'adapter_config.json',
    createReadStream(path.join(folder, 'adapter_config.json')),
  )
  const model = await put(
    'adapter_model.safetensors',
    weights === undefined
      ? createReadStream(path.join(folder, 'adapter_model.safetensors'))
      : (async function* () {
          yield weights
        })(),
  )
  const digest = createHash('sha256')
    .update(config.digest + model.digest)
    .digest('hex')
  return { digest, rank: 8, sizeBytes: model.sizeBytes, files: [config, model] }
}

const prompt = Array.from({ length: 24 }, (_, i) => 40 + 7 * i)
const generate = (requestId: string, gatewayId: string, rest: Partial<Task> = {}): Task =>
  task(requestId, {
    gatewayId,
    tokens: prompt,
    numPromptTokens: prompt.length,
    maxNewTokens: 48,
    ignoreEos: true,
    sampling: { seed: 11, temperature: 0.9 },
    ...rest,
  })

test('adapters come from the store and answer in one batch, each as it would alone', async () => {
  const names = ['french', 'sql-helper', 'bard']
  const adapters = [null, ...(await Promise.all(names.map((name) => upload(name))))]
  const gateway = follow('gw-mix')
  for (const [i, adapter] of adapters.entries()) {
    await assign(generate(`alone-${i}`, 'gw-mix', { adapter }))
    expect(await gateway.end(`alone-${i}`)).toMatchObject({ reason: 'length', numTokens: 48 })
  }
  await Promise.all(
    adapters.map((adapter, i) => assign(generate(`mixed-${i}`, 'gw-mix', { adapter }))),
  )
  for (const i of adapters.keys()) {
    await gateway.end(`mixed-${i}`)
    expect(gateway.tokens.get(`mixed-${i}`)).toEqual(gateway.tokens.get(`alone-${i}`))
  }
  const answers = adapters.map((_, i) => String(gateway.tokens.get(`alone-${i}`)))
  expect(new Set(answers).size).toBe(answers.length)
})

test('an evicted request goes on elsewhere as if nothing had happened', async () => {
  const gateway = follow('gw-move')
  await assign(generate('whole', 'gw-move', { maxNewTokens: 900 }))
  expect(await gateway.end('whole')).toMatchObject({ reason: 'length' })
  await assign(generate('moved', 'gw-move', { maxNewTokens: 900 }))
  await gateway.received('moved', 5)
  const evict = { type: 'evict' as const, epoch: 1, requestId: 'moved', attempt: 0 }
  node.bus.publish(channels.nodeCommand('n1'), evict)
  const end = await gateway.end('moved')
  expect(end?.reason).toBe('evicted')
  const first = gateway.tokens.get('moved') ?? []
  expect(first).toHaveLength(end?.numTokens ?? 0)

  const again = follow('gw-again')
  const tokens = [...prompt, ...first]
  await assign(generate('moved', 'gw-again', { attempt: 1, tokens, maxNewTokens: 900 }))
  await again.end('moved')
  expect([...first, ...(again.tokens.get('moved') ?? [])]).toEqual(gateway.tokens.get('whole'))
})

test('tokens beyond the vocabulary and prompts beyond the context are refused by name', async () => {
  const { vocabSize, maxPositions } = node.model
  expect(
    await assign(generate('vocabulary', 'gw', { tokens: [1, vocabSize], numPromptTokens: 2 })),
  ).toMatchObject({
    type: 'refused',
    error: { code: 'invalid_request', message: expect.stringContaining(String(vocabSize)) },
  })
  const tokens = new Array(maxPositions + 1).fill(5)
  expect(
    await assign(generate('context', 'gw', { tokens, numPromptTokens: tokens.length })),
  ).toMatchObject({
    type: 'refused',
    error: { code: 'invalid_request', message: expect.stringContaining(String(maxPositions)) },
  })
})

test('a broken adapter ends its request with what is wrong, and is not kept', async () => {
  const weights = await readFile(path.join(models, 'adapters/french/adapter_model.safetensors'))
  const adapter = await upload('french', weights.subarray(0, 5_000))
  const gateway = follow('gw-broken')
  await assign(generate('fine', 'gw-broken'))
  await assign(generate('broken', 'gw-broken', { adapter }))
  expect(await gateway.end('broken')).toMatchObject({
    reason: 'error',
    error: { code: 'adapter_invalid' },
  })
  expect(await gateway.end('fine')).toMatchObject({ reason: 'length' })
  expect(await readdir(node.folder)).not.toContain(adapter.digest)
})

const probe = (adapter: AdapterRef): Promise<ProbeReply> =>
  node.bus.request(channels.probe('n1'), { adapter }, { timeoutMs: 30_000 })

/** The weights of an adapter in bf16 with every lora_B replaced. */
const withEveryB = async (name: string, word: (at: number) => number): Promise<Uint8Array> => {
  const file = await readFile(path.join(models, 'adapters', name, 'adapter_model.safetensors'))
  const dataAt = 8 + Number(file.readBigUInt64LE(0))
  const header: Record<string, { data_offsets: [number, number] }> = JSON.parse(
    file.subarray(8, dataAt).toString(),
  )
  for (const [tensor, { data_offsets: offsets }] of Object.entries(header)) {
    if (!tensor.includes('lora_B')) continue
    for (let at = offsets[0]; at < offsets[1]; at += 2) file.writeUInt16LE(word(at), dataAt + at)
  }
  return file
}

test('a probe tells an adapter from the base model, whatever else runs', async () => {
  const gateway = follow('gw-probe')
  await assign(generate('beside', 'gw-probe', { maxNewTokens: 400 }))
  const replies = await Promise.all(
    ['french', 'bard'].map(async (name) => probe(await upload(name))),
  )
  for (const reply of replies) {
    expect(reply).toMatchObject({ type: 'passed', report: { numTokens: 32 } })
    if (reply.type === 'passed') expect(reply.report.maxLogprobChange).toBeGreaterThan(0.1)
  }
  await gateway.end('beside')
  await assign(generate('alone', 'gw-probe', { maxNewTokens: 400 }))
  await gateway.end('alone')
  expect(gateway.tokens.get('beside')).toEqual(gateway.tokens.get('alone'))
})

test.each([
  // 2^-126 in bf16: not zero, and too small to move anything.
  ['too small to matter', () => 0x0080, 'changes nothing'],
  // About 10^38, whose products are infinite.
  ['too large', (at: number) => (at % 4 === 0 ? 0x7e96 : 0xfe96), 'not finite'],
])('a probe refuses weights that are %s', async (_, word, message) => {
  const adapter = await upload('sql-helper', await withEveryB('sql-helper', word))
  expect(await probe(adapter)).toMatchObject({
    type: 'refused',
    error: { code: 'adapter_invalid', message: expect.stringContaining(message) },
  })
})

test('a probe says that it could not be made', async () => {
  const adapter = await upload('bard')
  const missing = '1'.repeat(64)
  const files = adapter.files.map((file) => ({ ...file, digest: missing }))
  const replies = await Promise.all([
    probe({ ...adapter, digest: missing, files }),
    probe({ ...adapter, digest: '2'.repeat(64), files }),
    probe({ ...adapter, digest: '3'.repeat(64), files }),
  ])
  const codes = replies.map((reply) => (reply.type === 'refused' ? reply.error.code : 'passed'))
  expect(codes).toEqual(['unavailable', 'unavailable', 'overloaded'])
})

test('an adapter that the store does not have is unavailable', async () => {
  const adapter = await upload('bard')
  const missing = '0'.repeat(64)
  const files = adapter.files.map((file) => ({ ...file, digest: missing }))
  const gateway = follow('gw-missing')
  await assign(generate('r1', 'gw-missing', { adapter: { ...adapter, digest: missing, files } }))
  expect(await gateway.end('r1')).toMatchObject({ reason: 'error', error: { code: 'unavailable' } })
})
