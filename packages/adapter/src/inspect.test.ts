import { createReadStream, statSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { adapterDigest, inspectAdapter, readModelShape } from './index.ts'
import {
  filled,
  inChunks,
  inspect,
  problemOf,
  q0,
  tinyConfig,
  tinyShape,
  tinyTensors,
  toJsonBytes,
  toSafetensors,
} from './testing.ts'

const models = fileURLToPath(new URL('../../../models', import.meta.url))

describe('adapters that hold', () => {
  test.each([
    ['sql-helper', 8, 7],
    ['sentiment', 32, 2],
    ['french', 16, 7],
  ])('the demo adapter %s', async (name, rank, numModules) => {
    const folder = `${models}/adapters/${name}`
    const path = `${folder}/adapter_model.safetensors`
    const manifest = await inspectAdapter(
      {
        config: await readFile(`${folder}/adapter_config.json`),
        weights: createReadStream(path),
        weightsBytes: statSync(path).size,
      },
      await readModelShape(`${models}/base`),
    )
    expect(manifest.rank).toBe(rank)
    expect(manifest.targetModules).toHaveLength(numModules)
    expect(manifest.numTensors).toBe(8 * numModules * 2)
  })

  test('says what it holds, in whatever chunks the file comes', async () => {
    const expected = {
      rank: 4,
      targetModules: ['q_proj', 'v_proj'],
      numTensors: 8,
      sizeBytes: 2 * 4 * (4 * 12 + 16 * 4 + 4 * 12 + 8 * 4),
    }
    const file = toSafetensors(tinyTensors())
    for (const sizes of [[1], [3], [7, 1, 2], [4], [5, 64], [100_000]]) {
      expect(await inspect(tinyConfig(), file, sizes)).toEqual(expected)
    }
  })

  test('an adapter name inside of the tensor names', async () => {
    const tensors = Object.entries(tinyTensors()).map(([name, tensor]) => [
      name.replace('.weight', '.default.weight'),
      tensor,
    ])
    expect(await inspect(tinyConfig(), toSafetensors(Object.fromEntries(tensors)))).toBeTruthy()
  })

  test.each([
    ['a list of names', ['q_proj', 'down_proj'], ['q_proj', 'down_proj']],
    [
      '"all-linear"',
      'all-linear',
      ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj'],
    ],
    ['a regular expression', String.raw`.*\.(up|gate)_proj`, ['gate_proj', 'up_proj']],
  ])('target_modules as %s', async (_, target_modules, expected) => {
    const manifest = await inspect(
      tinyConfig({ target_modules }),
      toSafetensors(tinyTensors(expected)),
    )
    expect(manifest.targetModules).toEqual(expected)
  })

  test.each([
    ['a name', { v_proj: 2 }],
    ['a dotted tail', { 'self_attn.v_proj': 2 }],
    ['a regular expression', { 'layers[.]\\d+[.]self_attn[.]v_proj': 2 }],
    ['an anchored regular expression', { '^model[.]layers[.][01][.].*v_proj': 2 }],
    ['the first of two that match', { 'self_attn.v_proj': 2, v_proj: 3 }],
  ])('rank_pattern by %s', async (_, rank_pattern) => {
    const tensors = tinyTensors(undefined, (module) => (module.endsWith('v_proj') ? 2 : 4))
    expect((await inspect(tinyConfig({ rank_pattern }), toSafetensors(tensors))).rank).toBe(4)
  })

  test('only some layers', async () => {
    const tensors = Object.entries(tinyTensors()).filter(([name]) => name.includes('layers.1.'))
    const config = tinyConfig({ layers_to_transform: [1] })
    expect((await inspect(config, toSafetensors(Object.fromEntries(tensors)))).numTensors).toBe(4)
  })

  test('fields that are present and unused', async () => {
    const config = tinyConfig({ use_dora: false, modules_to_save: null, layer_replication: [] })
    expect(await inspect(config)).toBeTruthy()
  })
})

describe('values that are refused', () => {
  const half = (shape: number[], dtype: string, words: number[]): Uint8Array => {
    const data = new Uint16Array(shape.reduce((a, b) => a * b, 1)).fill(0x3c00)
    data.set(words)
    const tensor = { dtype, shape, data: new Uint8Array(data.buffer) }
    return toSafetensors({ ...tinyTensors(), [`${q0}.lora_A.weight`]: tensor })
  }
  test.each<[string, Uint8Array]>([
    [
      'NaN in F32',
      toSafetensors({ ...tinyTensors(), [`${q0}.lora_A.weight`]: filled([4, 12], Number.NaN) }),
    ],
    [
      '-infinity in F32',
      toSafetensors({
        ...tinyTensors(),
        [`${q0}.lora_A.weight`]: filled([4, 12], Number.NEGATIVE_INFINITY),
      }),
    ],
    ['NaN in BF16', half([4, 12], 'BF16', [0x7fc0])],
    ['infinity in F16', half([4, 12], 'F16', [0xfc00])],
  ])('%s', async (_, file) => {
    for (const sizes of [[4096], [1], [3]]) {
      expect(await problemOf(inspect(tinyConfig(), file, sizes))).toContain(
        'q_proj.lora_A.weight": holds a value that is infinite or not a number',
      )
    }
  })

  test('the largest finite values of F16 and BF16 are fine', async () => {
    expect(await inspect(tinyConfig(), half([4, 12], 'F16', [0x7bff, 0x8000]))).toBeTruthy()
    expect(await inspect(tinyConfig(), half([4, 12], 'BF16', [0x7f7f, 0x8000]))).toBeTruthy()
  })

  test.each(['lora_A', 'lora_B'])(
    'an adapter whose %s are all zero changes nothing',
    async (side) => {
      const tensors = Object.entries(tinyTensors()).map(([name, tensor]) => [
        name,
        name.includes(side) ? filled(tensor.shape, -0) : tensor,
      ])
      expect(
        await problemOf(inspect(tinyConfig(), toSafetensors(Object.fromEntries(tensors)))),
      ).toContain('adapter_invalid: adapter_model.safetensors: changes nothing')
    },
  )

  test('and so does one with an alpha of zero', async () => {
    expect(await problemOf(inspect(tinyConfig({ lora_alpha: 0 })))).toContain('changes nothing')
  })
})

test('whatever the bytes are, the answer is a manifest or a typed error', async () => {
  const config = toJsonBytes(tinyConfig())
  const file = toSafetensors(tinyTensors())
  let state = 1
  const random = (below: number): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state % below
  }
  const mutate = (bytes: Uint8Array): Uint8Array => {
    const copy = Uint8Array.from(bytes)
    for (let i = 0; i <= random(4); i++) copy[random(Math.min(copy.length, 1200))] = random(256)
    return random(4) === 0 ? copy.subarray(0, random(copy.length)) : copy
  }
  for (let i = 0; i < 2000; i++) {
    const weights = mutate(file)
    const source = {
      config: i % 3 === 0 ? mutate(config) : config,
      weights: inChunks(weights, [1 + random(999)]),
      weightsBytes: weights.length,
    }
    const problem = await problemOf(inspectAdapter(source, tinyShape))
    expect(problem).toMatch(/^(\[object Object\]|accepted|adapter_(invalid|incompatible): )/)
  }
})

test('the digest of an adapter covers names and contents, whatever their order', () => {
  const a = { name: 'adapter_config.json', digest: 'aa' }
  const b = { name: 'adapter_model.safetensors', digest: 'bb' }
  expect(adapterDigest([b, a])).toBe(adapterDigest([a, b]))
  expect(adapterDigest([a, { ...b, digest: 'cc' }])).not.toBe(adapterDigest([a, b]))
})
