import { AppError } from '@punica/schema'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type AdapterManifest, inspectAdapter } from './index.ts'
import {
  filled,
  inChunks,
  problemOf,
  tinyConfig,
  tinyShape,
  tinyTensors,
  toJsonBytes,
  toSafetensors,
} from './testing.ts'

// Whatever is uploaded is either a manifest or an error of the table that names the file.

const soundConfig = toJsonBytes(tinyConfig())
const soundWeights = toSafetensors(tinyTensors())
const headerBytes = 8 + Number(new DataView(soundWeights.buffer).getBigUint64(0, true))

const inspect = (
  config: Uint8Array,
  weights: Uint8Array,
  sizes: readonly number[] = [4096],
): Promise<AdapterManifest> =>
  inspectAdapter(
    { config, weights: inChunks(weights, sizes), weightsBytes: weights.length },
    tinyShape,
  )

/** Fails where the outcome is neither a manifest nor an error that is meant for the uploader. */
const expectVerdict = async (work: Promise<AdapterManifest>): Promise<string> => {
  const outcome = await work.then(
    () => 'accepted',
    (cause: unknown) => cause,
  )
  if (outcome === 'accepted') return outcome
  if (!(outcome instanceof AppError)) throw outcome
  expect(['adapter_invalid', 'adapter_incompatible']).toContain(outcome.code)
  expect(outcome.message).toMatch(/^adapter_(config\.json|model\.safetensors): /)
  expect(outcome.message.length).toBeLessThan(2_000)
  return outcome.code
}

const runs = { numRuns: 300 }

test('any bytes as weights get a verdict', async () => {
  const bytes = fc.uint8Array({ maxLength: 400 })
  await fc.assert(
    fc.asyncProperty(bytes, async (weights) => {
      expect(await expectVerdict(inspect(soundConfig, weights))).toBe('adapter_invalid')
    }),
    runs,
  )
})

test('any bytes as configuration get a verdict', async () => {
  const bytes = fc.oneof(fc.uint8Array({ maxLength: 400 }), fc.json().map(toBytes))
  await fc.assert(
    fc.asyncProperty(bytes, async (config) => {
      expect(await expectVerdict(inspect(config, soundWeights))).not.toBe('accepted')
    }),
    runs,
  )
})

const toBytes = (text: string): Uint8Array => new TextEncoder().encode(text)

test('any value of any field of the configuration gets a verdict', async () => {
  const fields = [
    ...Object.keys(tinyConfig()),
    'rank_pattern',
    'alpha_pattern',
    'exclude_modules',
    'layers_to_transform',
    'layers_pattern',
    'use_rslora',
    'init_lora_weights',
    'modules_to_save',
    '__proto__',
  ]
  const change = fc.dictionary(fc.constantFrom(...fields), fc.jsonValue(), { maxKeys: 3 })
  await fc.assert(
    fc.asyncProperty(change, async (changes) => {
      await expectVerdict(inspect(toJsonBytes(tinyConfig(changes)), soundWeights))
    }),
    runs,
  )
})

test('a file that is cut off anywhere is refused', async () => {
  await fc.assert(
    fc.asyncProperty(fc.nat(soundWeights.length - 1), async (length) => {
      const cut = soundWeights.subarray(0, length)
      expect(await expectVerdict(inspect(soundConfig, cut))).toBe('adapter_invalid')
    }),
    runs,
  )
})

test('a file that ends before it was said to is refused, and one that goes on is not read on', async () => {
  await fc.assert(
    fc.asyncProperty(fc.nat(soundWeights.length - 1), async (length) => {
      const weights = inChunks(soundWeights.subarray(0, length))
      const source = { config: soundConfig, weights, weightsBytes: soundWeights.length }
      expect(await expectVerdict(inspectAdapter(source, tinyShape))).toBe('adapter_invalid')
    }),
    { numRuns: 100 },
  )
})

test('a header in which bytes were changed gets a verdict', async () => {
  const change = fc.tuple(fc.nat(headerBytes - 1), fc.nat(255))
  await fc.assert(
    fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 4 }), async (changes) => {
      const file = soundWeights.slice()
      for (const [at, byte] of changes) file[at] = byte
      await expectVerdict(inspect(soundConfig, file))
    }),
    { numRuns: 1_000 },
  )
})

test('a header that lies about a tensor is refused', async () => {
  const offset = fc.oneof(fc.maxSafeNat(), fc.integer(), fc.double(), fc.nat(2_000))
  const lie = fc.oneof(
    fc.record({ data_offsets: fc.tuple(offset, offset) }),
    fc.record({ data_offsets: fc.array(offset, { maxLength: 4 }) }),
    fc.record({ shape: fc.array(offset, { maxLength: 10 }) }),
    fc.record({
      dtype: fc.constantFrom('F64', 'I8', 'BOOL', 'F8_E4M3', 'U16', '', 'x'.repeat(50)),
    }),
    fc.jsonValue(),
  )
  const names = Object.keys(tinyTensors())
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...names), lie, async (name, changes) => {
      let isLie = true
      const file = toSafetensors(tinyTensors(), (header) => {
        const before = header[name]
        const isPartial = typeof changes === 'object' && changes !== null && !Array.isArray(changes)
        header[name] = isPartial ? { ...Object(before), ...changes } : changes
        isLie = JSON.stringify(header[name]) !== JSON.stringify(before)
      })
      const verdict = await expectVerdict(inspect(soundConfig, file))
      expect(verdict === 'accepted').toBe(!isLie)
    }),
    runs,
  )
})

test('tensors that share bytes, or leave some out, are refused', async () => {
  const names = Object.keys(tinyTensors())
  const move = fc.tuple(fc.constantFrom(...names), fc.integer({ min: -200, max: 200 }))
  await fc.assert(
    fc.asyncProperty(fc.array(move, { minLength: 1, maxLength: 3 }), async (moves) => {
      const file = toSafetensors(tinyTensors(), (header) => {
        for (const [name, by] of moves) {
          const entry = Object(header[name])
          const [begin, end] = entry.data_offsets
          header[name] = { ...entry, data_offsets: [begin + 4 * by, end + 4 * by] }
        }
      })
      const isMoved = moves.some(([, by]) => by !== 0)
      const sum = new Map<string, number>()
      for (const [name, by] of moves) sum.set(name, (sum.get(name) ?? 0) + by)
      fc.pre(isMoved && [...sum.values()].some((by) => by !== 0))
      expect(await expectVerdict(inspect(soundConfig, file))).toBe('adapter_invalid')
    }),
    runs,
  )
})

test('one value that is not finite, anywhere in the data, is refused', async () => {
  const last = (soundWeights.length - headerBytes) / 4 - 1
  const value = fc.constantFrom(Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY)
  await fc.assert(
    fc.asyncProperty(fc.nat(last), value, async (index, bad) => {
      const file = soundWeights.slice()
      new DataView(file.buffer).setFloat32(headerBytes + 4 * index, bad, true)
      const problem = await problemOf(inspect(soundConfig, file))
      expect(problem).toContain('adapter_invalid: adapter_model.safetensors: tensor')
      expect(problem).toContain('infinite or not a number')
    }),
    runs,
  )
})

test('the way in which the bytes come changes nothing', async () => {
  const whole = await inspect(soundConfig, soundWeights)
  const sizes = fc.array(fc.integer({ min: 1, max: 700 }), { minLength: 1, maxLength: 5 })
  await fc.assert(
    fc.asyncProperty(sizes, async (chunks) => {
      expect(await inspect(soundConfig, soundWeights, chunks)).toEqual(whole)
    }),
    { numRuns: 100 },
  )
})

describe('a header that would be large in memory', () => {
  const bytes = 2_000_000
  const withHeader = (json: string): Uint8Array => {
    const header = toBytes(json)
    const file = new Uint8Array(8 + header.length)
    new DataView(file.buffer).setBigUint64(0, BigInt(header.length), true)
    file.set(header, 8)
    return file
  }
  const repeat = (text: string): string => text.repeat(Math.floor(bytes / text.length))

  test.each([
    ['of empty lists', `{"a":[${repeat('[],')}[]]}`, 'more values'],
    ['of empty objects', `{"a":[${repeat('{},')}{}]}`, 'more values'],
    ['of numbers', `{"a":[${repeat('0,')}0]}`, 'more values'],
    ['of names', `{${repeat('"a":0,')}"a":0}`, 'more values'],
    ['of depth', `{"a":${'['.repeat(bytes / 2)}${']'.repeat(bytes / 2)}}`, 'nests deeper'],
    ['of open brackets', '{'.repeat(bytes), 'nests deeper'],
    ['over the limit', `{"a":"${'x'.repeat(2 * 1024 ** 2)}"}`, 'the limit is 2097152'],
  ])('%s is refused before it is parsed', async (_, json, message) => {
    const parse = JSON.parse
    let longest = 0
    JSON.parse = (text, reviver) => {
      longest = Math.max(longest, text.length)
      return parse(text, reviver)
    }
    try {
      expect(await problemOf(inspect(soundConfig, withHeader(json)))).toContain(message)
    } finally {
      JSON.parse = parse
    }
    expect(longest).toBe(soundConfig.length)
  })

  test('of text alone is harmless, whatever characters it has', async () => {
    const file = toSafetensors(tinyTensors(), (header) => {
      header.__metadata__ = { text: '[{":,\\"'.repeat(50_000) }
    })
    expect((await inspect(soundConfig, file)).rank).toBe(4)
  })

  test('of as many tensors as are allowed is read', async () => {
    const tensors = Object.fromEntries(
      Array.from({ length: 8_000 }, (_, i) => [`tensor ${i}`, filled([2, 3])]),
    )
    expect(await problemOf(inspect(soundConfig, toSafetensors(tensors)))).toContain(
      'tensor "tensor 0": is not a LoRA matrix',
    )
  })
})
