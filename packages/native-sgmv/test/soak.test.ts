import { expect, test } from 'vitest'
import type { EngineRequest } from '../lib/index.ts'
import {
  adapterFolder,
  adapterNames,
  type Outcome,
  type Run,
  randomIntegers,
  randomPrompt,
  runEngine,
} from './running-engine.ts'

type Request = Omit<EngineRequest, 'id' | 'adapter'>

const numKinds = 30
const numRequests = 250

test('whatever happens to others, a request’s tokens are the first of its solo run', async () => {
  await using running = await runEngine({
    poolBytes: 48 * 128 * 1024,
    maxBatchSize: 8,
    maxStepTokens: 48,
  })
  const { engine, run, start } = running
  const random = randomIntegers(2024)
  const handles = (await running.loadAdapters()).slice()
  const kinds = Array.from({ length: numKinds }, (_, i): Request & { adapterIndex: number } => ({
    adapterIndex: random(handles.length),
    tokens: randomPrompt(randomIntegers(1 + (i % 4)), 1 + random(120)),
    maxNewTokens: 1 + random(60),
    ...(random(2) === 0 ? {} : { cacheKey: `tenant ${random(2)}` }),
    ...(random(2) === 0 ? {} : { sampling: { temperature: 1, seed: BigInt(i) } }),
  }))
  const toRequest = ({ adapterIndex, ...kind }: (typeof kinds)[number]) => ({
    ...kind,
    adapter: handles[adapterIndex] ?? 0,
  })
  const alone: Outcome[] = []
  for (const kind of kinds) alone.push(await run(toRequest(kind)))

  const underWay: { kind: number; run: Run }[] = []
  let numWhole = 0
  const check = async (): Promise<void> => {
    const oldest = underWay.shift()
    if (oldest === undefined) return
    const { tokens, reason } = await oldest.run.done
    const expected = alone[oldest.kind]?.tokens ?? []
    expect(tokens).toEqual(expected.slice(0, tokens.length))
    if (reason !== 'length') return expect(['cancelled', 'evicted']).toContain(reason)
    expect(tokens).toHaveLength(expected.length)
    numWhole++
  }
  for (let i = 0; i < numRequests; i++) {
    const kind = random(numKinds)
    const known = kinds[kind]
    if (known === undefined) throw new Error('no such kind')
    underWay.push({ kind, run: start(toRequest(known)) })
    const victim = underWay[random(underWay.length)]?.run.id ?? 0
    const change = random(12)
    if (change === 0) engine.cancel(victim)
    if (change === 1) engine.evict(victim)
    if (change === 2) {
      const index = 1 + random(adapterNames.length)
      engine.unloadAdapter(handles[index] ?? 0)
      handles[index] = await engine.loadAdapter(adapterFolder(adapterNames[index - 1] ?? ''))
    }
    if (underWay.length > 16) await check()
  }
  while (underWay.length > 0) await check()

  expect(numWhole).toBeGreaterThan(numRequests / 3)
  for (const handle of handles.slice(1)) engine.unloadAdapter(handle)
  await run({ adapter: 0, tokens: [1], maxNewTokens: 2 })
  expect(engine.stats()).toMatchObject({
    numRunning: 0,
    numWaiting: 0,
    kvSlots: 0,
    adapterSlots: 0,
    freeSlots: 48,
    hostAdapterBytes: 0,
    adapters: [],
  })
})
