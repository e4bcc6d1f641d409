import { copyFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { expect, test } from 'vitest'
import { adapterFolder, runEngine } from './running-engine.ts'

/** A well-formed adapter whose weights are as large as bf16 allows: its outputs overflow. */
const makeOverflowingAdapter = async (folder: string): Promise<void> => {
  const source = adapterFolder('bard')
  await copyFile(path.join(source, 'adapter_config.json'), path.join(folder, 'adapter_config.json'))
  const weights = await readFile(path.join(source, 'adapter_model.safetensors'))
  const headerSize = Number(weights.readBigUInt64LE(0))
  for (let at = 8 + headerSize; at + 1 < weights.length; at += 2) weights.writeUInt16LE(0x7f00, at)
  await writeFile(path.join(folder, 'adapter_model.safetensors'), weights)
}

test('an adapter whose output is not finite ends its own request and no other', async () => {
  const folder = await mkdtemp(path.join(tmpdir(), 'punica-overflow-'))
  try {
    await makeOverflowingAdapter(folder)
    await using running = await runEngine()
    const { engine, start, run, loadAdapters } = running
    const [, adapter = 0] = await loadAdapters()
    const overflowing = await engine.loadAdapter(folder)
    const request = { adapter, tokens: [1, 5, 9, 200], maxNewTokens: 48, ignoreEos: true }
    const alone = await run(request)

    const beside = start(request)
    await beside.first
    const bad = await run({ ...request, adapter: overflowing })
    expect(bad).toMatchObject({ tokens: [], reason: 'error' })
    expect((await beside.done).tokens).toEqual(alone.tokens)
    expect(running.steps.every(({ error }) => error === null)).toBe(true)
    expect(engine.stats()).toMatchObject({ numRunning: 0, numWaiting: 0 })
  } finally {
    await rm(folder, { recursive: true })
  }
})
