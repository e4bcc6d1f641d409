import { expect, test } from 'vitest'
import type { EngineStats } from '../lib/index.ts'
import { randomIntegers, randomPrompt, runEngine } from './running-engine.ts'

const pageBytes = 128 * 1024
const allModules = ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj']
const prompt = (numTokens: number, seed = 1): number[] =>
  randomPrompt(randomIntegers(seed), numTokens)

const slotsOf = ({ adapters, pageBytes }: EngineStats): number[] =>
  adapters.map(({ poolBytes }) => Math.ceil(poolBytes / pageBytes))

test('without a free page the newest request is evicted, and goes on the same later', async () => {
  await using running = await runEngine({ poolBytes: 16 * pageBytes })
  const { engine, start, run } = running
  const request = (seed: number) => ({ adapter: 0, tokens: prompt(40, seed), maxNewTokens: 180 })
  const alone = await run(request(2))

  const [first, second] = [start(request(1)), start(request(2))]
  const evicted = await second.done
  expect(evicted).toMatchObject({ reason: 'evicted', byPressure: true })
  expect(evicted.tokens.length).toBeGreaterThan(0)
  expect((await first.done).tokens).toHaveLength(180)

  const rest = await run({
    ...request(2),
    tokens: [...prompt(40, 2), ...evicted.tokens],
    numPromptTokens: 40,
  })
  expect([...evicted.tokens, ...rest.tokens]).toEqual(alone.tokens)
  expect(engine.stats()).toMatchObject({ kvSlots: 0, freeSlots: 16, numRunning: 0, numWaiting: 0 })
})

test('cancel and evict give the pages back', async () => {
  await using running = await runEngine()
  const { engine, start } = running
  const request = { adapter: 0, tokens: prompt(100), maxNewTokens: 900 }
  const [a, b] = [start(request), start(request)]
  await Promise.all([a.first, b.first])
  expect(engine.stats().kvSlots).toBeGreaterThanOrEqual(14)
  engine.cancel(a.id)
  engine.evict(b.id)
  engine.cancel(12345)
  expect(await a.done).toMatchObject({ reason: 'cancelled', byPressure: false })
  expect(await b.done).toMatchObject({ reason: 'evicted', byPressure: false })
  expect(engine.stats()).toMatchObject({ kvSlots: 0, freeSlots: 512, numRunning: 0 })
})

test('a request that waits is cancelled without having run', async () => {
  await using running = await runEngine({ maxBatchSize: 1 })
  const { engine, start } = running
  const [a, b] = [
    start({ adapter: 0, tokens: prompt(3), maxNewTokens: 1000 }),
    start({ adapter: 0, tokens: prompt(3), maxNewTokens: 1000 }),
  ]
  await a.first
  expect(engine.stats()).toMatchObject({ numRunning: 1, numWaiting: 1 })
  engine.cancel(b.id)
  expect(await b.done).toMatchObject({ reason: 'cancelled', tokens: [] })
  engine.cancel(a.id)
  await a.done
  expect(engine.stats()).toMatchObject({ numRunning: 0, numWaiting: 0 })
})

test('an adapter that is unloaded stays until its last request is over', async () => {
  await using running = await runEngine()
  const { engine, run, start } = running
  const [, adapter = 0] = await running.loadAdapters()
  const request = { adapter, tokens: prompt(20), maxNewTokens: 300 }
  const alone = await run(request)

  const held = start(request)
  await held.first
  engine.unloadAdapter(adapter)
  expect(() => start(request)).toThrow(/No adapter \d+ is loaded/)
  expect(engine.stats().adapters).toContainEqual(
    expect.objectContaining({ handle: adapter, numRequests: 1, resident: true }),
  )
  expect((await held.done).tokens).toEqual(alone.tokens)
  const { adapters, adapterSlots } = engine.stats()
  expect(adapters).toHaveLength(5)
  expect(adapterSlots).toBe(0)
})

test('adapters that nobody uses make room, the longest unused first; pinned ones stay', async () => {
  await using running = await runEngine({ poolBytes: 32 * pageBytes })
  const { engine, run } = running
  const load = (seed: number) => engine.loadRandomAdapter({ rank: 16, modules: allModules, seed })
  const handles = [load(1), load(2), load(3), load(4), load(5)]
  const [numSlots = 0] = slotsOf(engine.stats())
  expect(numSlots).toBeGreaterThan(6)
  expect(numSlots).toBeLessThanOrEqual(8)
  const use = (adapter = 0) => run({ adapter, tokens: prompt(5), maxNewTokens: 2 })
  const resident = () =>
    engine
      .stats()
      .adapters.filter((adapter) => adapter.resident)
      .map(({ handle }) => handles.indexOf(handle))

  const alone = await use(handles[0])
  engine.pinAdapter(handles[1] ?? 0, true)
  for (const handle of [handles[1], handles[2], handles[0]]) await use(handle)
  expect(resident()).toEqual([0, 1, 2])
  await use(handles[3])
  expect(resident()).toEqual([0, 1, 3])
  await use(handles[4])
  expect(resident()).toEqual([1, 3, 4])
  expect((await use(handles[0])).tokens).toEqual(alone.tokens)
})

test('more distinct adapters than the pool holds are all served', async () => {
  await using running = await runEngine({ poolBytes: 24 * pageBytes })
  const { engine, run } = running
  const load = (seed: number) => engine.loadRandomAdapter({ rank: 16, modules: allModules, seed })
  const handles = Array.from({ length: 12 }, (_, i) => load(i))
  const request = (adapter: number) => ({
    adapter,
    tokens: prompt(20),
    maxNewTokens: 8,
    sampling: { numLogprobs: 0 },
  })
  const together = await Promise.all(handles.map((adapter) => run(request(adapter))))
  expect(new Set(together.map(({ logprobs }) => JSON.stringify(logprobs))).size).toBe(12)
  for (const [i, adapter] of handles.entries()) {
    expect(await run(request(adapter))).toEqual(together[i])
  }
})
