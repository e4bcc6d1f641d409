import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createEngine, EngineError, type EngineOptions, type EngineRequest } from '../lib/index.ts'
import { loadAddon } from '../lib/native.ts'
import { adapterFolder, baseFolder, type RunningEngine, runEngine } from './running-engine.ts'

const pageBytes = 128 * 1024

const errorOf = async (call: () => unknown): Promise<EngineError> => {
  try {
    await call()
  } catch (err) {
    if (err instanceof EngineError) return err
    throw err
  }
  throw new Error('nothing was thrown')
}

describe('submit', () => {
  let running: RunningEngine
  beforeAll(async () => {
    running = await runEngine()
  })
  afterAll(() => running.engine.close())

  const good: EngineRequest = { id: 1, adapter: 0, tokens: [1, 2, 3], maxNewTokens: 4 }

  test.each<[string, object, RegExp]>([
    ['id', { id: -1 }, /^id is -1; it must be an integer from 0 to 9007199254740991/],
    ['id', { id: 2 ** 53 }, /^id is 9007199254740992/],
    ['adapter', { adapter: 1.5 }, /^adapter is 1.5/],
    ['no tokens', { tokens: [] }, /^tokens is empty/],
    ['no array', { tokens: 'abc' }, /^tokens is "abc"; it must be an array/],
    ['a fraction', { tokens: [1, 2.5] }, /^tokens\[1\] is 2.5/],
    ['a negative token', { tokens: [1, -2] }, /^tokens\[1\] is -2; the model's token ids are 0 to/],
    ['a token past the end', { tokens: [4096] }, /^tokens\[0\] is 4096; .* 0 to 4095/],
    ['a full context', { tokens: new Int32Array(1024) }, /^tokens has 1024 entries; .* 1024 pos/],
    ['no prompt', { numPromptTokens: 0 }, /^numPromptTokens is 0; it must be from 1 to .* 3/],
    ['a longer prompt', { numPromptTokens: 4 }, /^numPromptTokens is 4/],
    ['no new tokens', { maxNewTokens: 0 }, /^maxNewTokens is 0/],
    ['NaN new tokens', { maxNewTokens: Number.NaN }, /^maxNewTokens is NaN/],
    ['all generated', { numPromptTokens: 1, maxNewTokens: 2 }, /^maxNewTokens is 2; .* above 2/],
    ['a stop token', { stopTokens: [5000] }, /^stopTokens\[0\] is 5000/],
    ['many stop tokens', { stopTokens: new Array(65).fill(2) }, /^stopTokens has 65 .* 64/],
    ['ignoreEos', { ignoreEos: 'yes' }, /^ignoreEos is "yes"; it must be true or false/],
    ['cacheKey', { cacheKey: 'x'.repeat(257) }, /^cacheKey has 257 bytes; at most 256/],
    ['temperature', { sampling: { temperature: 2.5 } }, /^sampling.temperature is 2.5; .* 0 to 2/],
    ['temperature', { sampling: { temperature: -0.1 } }, /^sampling.temperature is -0.1/],
    ['temperature', { sampling: { temperature: Number.NaN } }, /^sampling.temperature is NaN/],
    ['topK', { sampling: { topK: -1 } }, /^sampling.topK is -1/],
    ['topP', { sampling: { topP: 0 } }, /^sampling.topP is 0; it must be above 0 and at most 1/],
    ['topP', { sampling: { topP: 1.5 } }, /^sampling.topP is 1.5/],
    ['minP', { sampling: { minP: 1.5 } }, /^sampling.minP is 1.5; it must be from 0 to 1/],
    ['repetition', { sampling: { repetitionPenalty: 0 } }, /^sampling.repetitionPenalty is 0/],
    [
      'presence',
      { sampling: { presencePenalty: 3 } },
      /^sampling.presencePenalty is 3; .* -2 to 2/,
    ],
    ['frequency', { sampling: { frequencyPenalty: -3 } }, /^sampling.frequencyPenalty is -3/],
    [
      'a biased token',
      { sampling: { logitBias: [[9999, 1]] } },
      /^sampling.logitBias\[0\] is 9999/,
    ],
    ['a bias', { sampling: { logitBias: [[1, 1e9]] } }, /^A bias of sampling.logitBias is 1e\+09/],
    ['many biases', { sampling: { logitBias: new Array(1025).fill([1, 1]) } }, /has 1025 entries/],
    ['logprobs', { sampling: { numLogprobs: 21 } }, /^sampling.numLogprobs is 21; .* to 20/],
    ['seed', { sampling: { seed: 2n ** 64n } }, /^sampling.seed is 18446744073709551616/],
    ['seed', { sampling: { seed: 7 } }, /^sampling.seed is 7; it must be a bigint/],
  ])('refuses %s: %o', async (_, change, message) => {
    const error = await errorOf(() => running.engine.submit({ ...good, ...change }))
    expect(error.code).toBe('invalid_request')
    expect(error.message).toMatch(message)
  })

  test('refuses an adapter that is not loaded', async () => {
    const error = await errorOf(() => running.engine.submit({ ...good, adapter: 77 }))
    expect(error.code).toBe('unknown_adapter')
    expect(error.message).toMatch(/77/)
    expect(await errorOf(() => running.engine.unloadAdapter(77))).toMatchObject({
      code: 'unknown_adapter',
    })
  })

  test('leaves nothing behind of a refused request', async () => {
    expect(running.engine.stats()).toMatchObject({ numRunning: 0, numWaiting: 0, kvSlots: 0 })
    expect((await running.run({ adapter: 0, tokens: [1], maxNewTokens: 3 })).tokens).toHaveLength(3)
  })
})

describe('limits', () => {
  test('a request that could never fit the pool is refused with the numbers', async () => {
    await using running = await runEngine({ poolBytes: 10 * pageBytes })
    const request = { adapter: 0, tokens: [1], maxNewTokens: 161 }
    const error = await errorOf(() => running.start(request))
    expect(error.code).toBe('request_too_large')
    expect(error.message).toMatch(/162 tokens, 11 KV pages.* the pool has 10/)
    expect((await running.run({ ...request, maxNewTokens: 160 })).tokens).toHaveLength(160)
  })

  test('an id under way is refused, and free again after its end', async () => {
    await using running = await runEngine()
    const run = running.start({ adapter: 0, tokens: [1], maxNewTokens: 900 })
    const again = { id: run.id, adapter: 0, tokens: [1], maxNewTokens: 1 }
    expect((await errorOf(() => running.engine.submit(again))).code).toBe('duplicate_request')
    running.engine.cancel(run.id)
    await run.done
    expect(await running.run({ adapter: 0, tokens: [1], maxNewTokens: 1 })).toBeDefined()
  })

  test('the queue has a bound', async () => {
    await using running = await runEngine({ maxBatchSize: 1, maxWaiting: 2 })
    const request = { adapter: 0, tokens: [1], maxNewTokens: 1000 }
    const first = running.start(request)
    await first.first
    const waiting = [running.start(request), running.start(request)]
    const error = await errorOf(() => running.start(request))
    expect(error.code).toBe('queue_full')
    expect(error.message).toMatch(/^2 requests wait, which is maxWaiting/)
    for (const { id } of [first, ...waiting]) running.engine.cancel(id)
    await Promise.all(waiting.map(({ done }) => done))
  })

  test('adapters are bounded by host memory and by the pool', async () => {
    await using small = await runEngine({ poolBytes: 3 * pageBytes })
    const invalid = await errorOf(() => small.engine.loadAdapter(adapterFolder('french')))
    expect(invalid.code).toBe('adapter_invalid')
    expect(invalid.message).toMatch(/of the pool.*poolBytes.*3 slots of 131072 bytes/)

    await using poor = await runEngine({ hostAdapterBytes: 100_000 })
    const full = await errorOf(() => poor.engine.loadAdapter(adapterFolder('french')))
    expect(full.code).toBe('adapter_memory_full')
    expect(full.message).toMatch(/hostAdapterBytes 100000/)
    expect(poor.engine.stats()).toMatchObject({ hostAdapterBytes: 0, adapters: [] })
  })

  test('what is no adapter is refused by name', async () => {
    await using running = await runEngine()
    const { engine } = running
    const missing = await errorOf(() => engine.loadAdapter('/nonexistent/adapter'))
    expect(missing.code).toBe('adapter_invalid')
    expect(missing.message).toMatch(/nonexistent/)
    const random = (rank: number, modules: string[]) =>
      errorOf(() => engine.loadRandomAdapter({ rank, modules, seed: 1 }))
    expect((await random(257, ['q_proj'])).message).toMatch(/^rank is 257; .* 1 to 256/)
    expect((await random(8, ['lm_head'])).message).toMatch(/"lm_head"; the modules are q_proj/)
    expect((await random(8, [])).code).toBe('adapter_invalid')
  })
})

describe('createEngine', () => {
  const options: EngineOptions = { modelFolder: baseFolder, poolBytes: 8 * pageBytes }

  test.each<[object, RegExp]>([
    [{ modelFolder: '' }, /^modelFolder is ""/],
    [{ modelFolder: 3 }, /^modelFolder is 3; it must be a string/],
    [{ backend: 'tpu' }, /^backend is "tpu"; it must be cpu or cuda or auto/],
    [{ device: -1 }, /^device is -1; it must be an integer from 0 to/],
    [{ memoryFraction: 0 }, /^memoryFraction is 0; it must be a number above 0 and at most 1/],
    [{ memoryFraction: 1.5 }, /^memoryFraction is 1.5/],
    [{ compute: 'int4' }, /^compute is "int4"; it must be f32 or bf16/],
    [{ numThreads: -1 }, /^numThreads is -1; it must be an integer from 0 to 1024/],
    [{ poolBytes: 0 }, /^poolBytes is 0/],
    [{ poolBytes: undefined }, /^poolBytes is undefined; it must be given/],
    [{ poolBytes: 1000 }, /^poolBytes is 1000; it must hold .* KV pages of 131072 bytes/],
    [{ maxBatchSize: 600 }, /^maxBatchSize is 600; it must be from 1 to 512/],
    [{ maxStepTokens: 1e6 }, /^maxStepTokens is 1000000; it must be from 1 to 65536/],
    [{ targetStepMs: -1 }, /^targetStepMs is -1.*; it must be positive/],
    [{ targetStepMs: Number.NaN }, /^targetStepMs is NaN; it must be a finite number/],
    [{ maxWaiting: 0 }, /^maxWaiting is 0/],
    [{ hostAdapterBytes: 1.5 }, /^hostAdapterBytes is 1.5/],
  ])('refuses %o', async (change, message) => {
    const error = await errorOf(() => createEngine({ ...options, ...change }))
    expect(error.code).toBe('invalid_options')
    expect(error.message).toMatch(message)
  })

  test('refuses a folder without a model', async () => {
    const folder = await mkdtemp(path.join(tmpdir(), 'no-model-'))
    try {
      const missing = await errorOf(() => createEngine({ ...options, modelFolder: folder }))
      expect(missing.code).toBe('model_invalid')
      expect(missing.message).toMatch(/config\.json/)
      await writeFile(path.join(folder, 'config.json'), '{"architectures": ["BertModel"]}')
      const foreign = await errorOf(() => createEngine({ ...options, modelFolder: folder }))
      expect(foreign.code).toBe('model_invalid')
      expect(foreign.message).toMatch(/BertModel/)
    } finally {
      await rm(folder, { recursive: true })
    }
  })

  // With the CUDA backend's library or without; where there is a GPU there is nothing to say.
  test('without a GPU, auto takes the CPU and cuda is refused, and both say what was tried', async () => {
    const engine = await createEngine({ ...options, backend: 'auto' })
    const { backend, description } = engine
    await engine.close()
    if (backend === 'cuda') return
    expect(description).toMatch(/no GPU: tried .*libpunica_cuda/)
    const error = await errorOf(() => createEngine({ ...options, backend: 'cuda' }))
    expect(error.code).toBe('backend_unavailable')
    expect(error.message).toMatch(/No cuda backend: tried .*Release\/libpunica_cuda\.so/)
  })

  test('says what was tried when there is no addon', async () => {
    const error = await errorOf(() => loadAddon('/nonexistent/native_sgmv.node'))
    expect(error.code).toBe('backend_unavailable')
    expect(error.message).toMatch(/Tried \/nonexistent\/native_sgmv\.node: .*`npm run build`/)
  })
})
