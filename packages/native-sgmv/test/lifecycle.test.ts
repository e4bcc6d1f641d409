import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import { expect, test } from 'vitest'
import { createEngine, EngineError } from '../lib/index.ts'
import { adapterFolder, baseFolder, runEngine } from './running-engine.ts'

const addonFile = fileURLToPath(new URL('../build/Release/native_sgmv.node', import.meta.url))
const long = { adapter: 0, tokens: [1], maxNewTokens: 1000 }

test('close stops an engine under way, once, and later calls say so', async () => {
  const { engine, start } = await runEngine()
  await start(long).first
  const loading = engine.loadAdapter(adapterFolder('french'))
  const closed = engine.close()
  expect(engine.close()).toBe(closed)
  await closed
  expect(await loading).toBe(1)
  expect(() => engine.stats()).toThrow(EngineError)
  expect(() => engine.submit({ ...long, id: 9 })).toThrow(/closed/)
  await expect(engine.loadAdapter(adapterFolder('french'))).rejects.toMatchObject({
    code: 'closed',
  })
})

test('an engine says what a step of it reads, and how fast its memory is', async () => {
  await using running = await runEngine()
  const { engine } = running
  const { numLayers, hiddenSize, numHeads, numKvHeads, headDim } = engine.model
  const { intermediateSize, vocabSize } = engine.model
  const attention = hiddenSize * headDim * (2 * numHeads + 2 * numKvHeads)
  const numWeights = numLayers * (attention + 3 * hiddenSize * intermediateSize)
  // Of two or four bytes each.
  const perWeight = engine.weightBytes / (numWeights + vocabSize * hiddenSize)
  expect([2, 4]).toContain(perWeight)
  expect(engine.readBytesPerSecond).toBeGreaterThan(1e8)
})

test('a listener that throws is reported, and the reports that follow are delivered', async () => {
  const engine = await createEngine({ modelFolder: baseFolder, poolBytes: 2 ** 22, numThreads: 1 })
  const caught: unknown[] = []
  const others = process.listeners('uncaughtException')
  process.removeAllListeners('uncaughtException')
  process.on('uncaughtException', (err) => caught.push(err))
  try {
    await new Promise<void>((resolve) => {
      engine.onStep(({ ends }) => {
        if (ends.length > 0) resolve()
        throw new Error('from the listener')
      })
      engine.submit({ ...long, id: 1, maxNewTokens: 3 })
    })
    await engine.close()
    expect(caught).toHaveLength(3)
    expect(String(caught[0])).toBe('Error: from the listener')
  } finally {
    process.removeAllListeners('uncaughtException')
    for (const listener of others) process.on('uncaughtException', listener)
  }
})

test('JavaScript that is busy gets every token later, in order and in few reports', async () => {
  await using running = await runEngine({ numThreads: 1 })
  const run = running.start({ ...long, maxNewTokens: 400 })
  // Holds the event loop until the engine is done.
  let stats = running.engine.stats()
  while (stats.numRunning + stats.numWaiting > 0) stats = running.engine.stats()
  const { indices } = await run.done
  expect(indices).toEqual(Array.from({ length: 400 }, (_, i) => i))
  expect(running.steps.length).toBeLessThanOrEqual(64)
  const decodes = running.steps.reduce((sum, step) => sum + step.numDecodeRows, 0)
  expect(decodes).toBe(400)
})

test('a worker may end while its engine runs', async () => {
  const code = `
    const { parentPort, workerData } = require('node:worker_threads')
    const { createEngine } = require(workerData.addonFile)
    const empty = new Int32Array(0)
    createEngine(workerData.options, () => parentPort.postMessage('running')).then((engine) => {
      engine.submit({
        id: 1, adapter: 0, cacheKey: '', tokens: Int32Array.of(1), numPromptTokens: 1,
        maxNewTokens: 1000, stopTokens: empty, ignoreEos: false, grammar: empty,
        sampling: {
          temperature: 0, topK: 0, topP: 1, minP: 0, repetitionPenalty: 1, presencePenalty: 0,
          frequencyPenalty: 0, biasTokens: empty, biases: new Float32Array(0), numLogprobs: -1,
          seed: 0n,
        },
      })
    })`
  const options = {
    modelFolder: baseFolder,
    backend: 'cpu',
    device: 0,
    randomWeights: false,
    numThreads: 1,
    compute: 'f32',
    maxBatchSize: 4,
    maxStepTokens: 16,
    targetStepMs: 0,
    poolBytes: 2 ** 24,
    memoryFraction: 0,
    hostAdapterBytes: 0,
    maxWaiting: 4,
  }
  for (let i = 0; i < 5; i++) {
    const worker = new Worker(code, { eval: true, workerData: { addonFile, options } })
    await new Promise((resolve, reject) => {
      worker.once('message', resolve)
      worker.once('error', reject)
    })
    expect(await worker.terminate()).toBe(1)
  }
})
