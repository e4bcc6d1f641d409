import { describe, expect, test } from 'vitest'
import { inspectAdapter } from './index.ts'
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

describe('configurations that are refused by name', () => {
  test.each([
    [{ peft_type: 'IA3' }, 'adapter_incompatible: adapter_config.json: peft_type: "IA3"'],
    [{ use_dora: true }, 'adapter_incompatible: adapter_config.json: use_dora'],
    [{ lora_bias: true }, 'adapter_incompatible: adapter_config.json: lora_bias'],
    [{ bias: 'all' }, 'adapter_incompatible: adapter_config.json: bias: "all"'],
    [
      { modules_to_save: ['lm_head'] },
      'adapter_incompatible: adapter_config.json: modules_to_save',
    ],
    [
      { trainable_token_indices: [1] },
      'adapter_incompatible: adapter_config.json: trainable_token_indices',
    ],
    [
      { layer_replication: [[0, 2]] },
      'adapter_incompatible: adapter_config.json: layer_replication',
    ],
    [{ fan_in_fan_out: true }, 'adapter_incompatible: adapter_config.json: fan_in_fan_out'],
    [
      { init_lora_weights: 'pissa' },
      'adapter_incompatible: adapter_config.json: init_lora_weights: "pissa"',
    ],
    [
      { r: 300 },
      'adapter_incompatible: adapter_config.json: rank 300 of model.layers.0.self_attn.q_proj is over the limit of 256',
    ],
    [{ r: 0 }, 'adapter_invalid: adapter_config.json: r:'],
    [{ r: '4' }, 'adapter_invalid: adapter_config.json: r:'],
    [{ lora_alpha: undefined }, 'adapter_invalid: adapter_config.json: lora_alpha:'],
    [{ peft_type: undefined }, 'adapter_invalid: adapter_config.json: peft_type:'],
    [
      { target_modules: undefined },
      'adapter_invalid: adapter_config.json: target_modules: is missing',
    ],
    [
      { target_modules: ['c_attn'] },
      'adapter_incompatible: adapter_config.json: target_modules: selects none',
    ],
    [
      { target_modules: '(' },
      'adapter_incompatible: adapter_config.json: target_modules: the pattern "("',
    ],
    [
      { target_modules: '(?=q)' },
      'adapter_incompatible: adapter_config.json: target_modules: the pattern',
    ],
    [{ target_modules: '(a{100}){100}' }, 'is too large'],
  ])('%j', async (changes, expected) => {
    expect(await problemOf(inspect(tinyConfig(changes)))).toContain(expected)
  })

  test('what is not JSON, and what is too large', async () => {
    const source = { weights: inChunks(new Uint8Array(0)), weightsBytes: 0 }
    const bytes = new TextEncoder().encode('{"r": ')
    expect(await problemOf(inspectAdapter({ ...source, config: bytes }, tinyShape))).toContain(
      'adapter_invalid: adapter_config.json: is not JSON',
    )
    const large = new Uint8Array(64 * 1024 + 1)
    expect(await problemOf(inspectAdapter({ ...source, config: large }, tinyShape))).toContain(
      'has 65537 bytes, the limit is 65536',
    )
  })

  test('a pattern that would stall a backtracking matcher is tried in linear time', async () => {
    const target_modules = `${'(a|a|.)*'.repeat(20)}q_proj`
    const file = toSafetensors(tinyTensors(['q_proj']))
    expect((await inspect(tinyConfig({ target_modules }), file)).targetModules).toEqual(['q_proj'])
  })
})

describe('weights that are refused by name', () => {
  const withTensor = (name: string, tensor = filled([4, 12])): Uint8Array =>
    toSafetensors({ ...tinyTensors(), [name]: tensor })
  const without = (name: string): Uint8Array => {
    const { [name]: _, ...others } = tinyTensors()
    return toSafetensors(others)
  }
  const replaceEntry = (changes: Record<string, unknown>, side = 'A'): Uint8Array =>
    toSafetensors(tinyTensors(), (header) => {
      const name = `${q0}.lora_${side}.weight`
      const entry = header[name]
      header[name] = { ...(typeof entry === 'object' ? entry : {}), ...changes }
    })
  const text = (value: string): Uint8Array => new TextEncoder().encode(value.padEnd(64, '\0'))
  const valid = toSafetensors(tinyTensors())

  test.each<[string, Uint8Array, string]>([
    [
      'another shape',
      withTensor(`${q0}.lora_A.weight`, filled([4, 13])),
      'adapter_incompatible: adapter_model.safetensors: tensor "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight": has shape [4,13], expected [4,12]',
    ],
    [
      'another rank',
      withTensor(`${q0}.lora_A.weight`, filled([5, 12])),
      'adapter_invalid: adapter_model.safetensors: tensor "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight": has shape [5,12], expected [4,12]: adapter_config.json says rank 4',
    ],
    ['half of a pair', without(`${q0}.lora_B.weight`), 'q_proj.lora_B.weight": is missing'],
    [
      'a layer too many',
      withTensor('base_model.model.model.layers.2.self_attn.q_proj.lora_A.weight'),
      'adapter_incompatible: adapter_model.safetensors: tensor "base_model.model.model.layers.2.self_attn.q_proj.lora_A.weight": the base model has 2 layers',
    ],
    [
      'an untargeted module',
      withTensor('base_model.model.model.layers.0.self_attn.k_proj.lora_A.weight'),
      'does not target its module',
    ],
    [
      'an unknown module',
      withTensor('base_model.model.model.layers.0.mlp.router.lora_A.weight'),
      'its module does not exist',
    ],
    [
      'an unknown tensor',
      withTensor('model.norm.weight'),
      'adapter_invalid: adapter_model.safetensors: tensor "model.norm.weight": is not a LoRA matrix',
    ],
    ['DoRA', withTensor(`${q0}.lora_magnitude_vector`), 'belongs to DoRA'],
    [
      'embeddings',
      withTensor('base_model.model.model.embed_tokens.lora_embedding_A'),
      'changes the embeddings',
    ],
    [
      'an output head',
      withTensor('base_model.model.lm_head.lora_A.weight'),
      'changes the output head',
    ],
    ['a bias', withTensor(`${q0}.lora_B.bias`), 'is a bias'],
    ['a tensor twice', withTensor(`${q0}.lora_A.default.weight`), 'is given twice'],
    ['a dtype', replaceEntry({ dtype: 'F64' }), 'dtype F64 is not F32, F16 or BF16'],
    ['an inherited dtype', replaceEntry({ dtype: 'toString' }), 'dtype toString is not'],
    [
      'a size that lies',
      replaceEntry({ shape: [4, 11] }),
      'span 192 bytes, shape [4,11] in F32 takes 176',
    ],
    [
      'offsets that leave a hole',
      replaceEntry({ data_offsets: [4, 196] }),
      'begins at 4, which leaves a hole before it (0)',
    ],
    [
      'offsets that overlap',
      replaceEntry({ data_offsets: [188, 444] }, 'B'),
      'begins at 188, which overlaps the tensor before it (192)',
    ],
    ['offsets that are negative', replaceEntry({ data_offsets: [-192, 0] }), 'adapter_invalid'],
    ['an unknown field of an entry', replaceEntry({ extra: 1 }), 'adapter_invalid'],
    ['no tensors', toSafetensors({}), 'has no tensors'],
    ['a cut', valid.subarray(0, valid.length - 1), 'cut off or padded'],
    ['padding', Uint8Array.from([...valid, 0]), 'cut off or padded'],
    ['an empty file', new Uint8Array(0), 'it has 0 bytes'],
    [
      'a header beyond the end',
      Uint8Array.from([255, 255, 255, 255, 255, 255, 255, 255, 0x7b]),
      'is not a safetensors file',
    ],
    ['a pickle', Uint8Array.from([0x80, 2, ...text('cposix\nsystem\n')]), 'is a Python pickle'],
    ['a zip', text('PK\x03\x04'), 'is a zip archive'],
    ['a GGUF', text('GGUF'), 'is a GGUF file'],
  ])('%s', async (_, file, expected) => {
    expect(await problemOf(inspect(tinyConfig(), file))).toContain(expected)
  })

  test('a header over the limit, before it is read', async () => {
    const head = new Uint8Array(9)
    new DataView(head.buffer).setBigUint64(0, BigInt(17 * 1024 ** 2), true)
    head[8] = 0x7b
    const source = { config: toJsonBytes(tinyConfig()), weights: inChunks(head) }
    const problem = await problemOf(
      inspectAdapter({ ...source, weightsBytes: 20 * 1024 ** 2 }, tinyShape),
    )
    expect(problem).toContain('header has 17825792 bytes, the limit is 2097152')
  })

  test('a header as long as the first bytes of a pickle say is still a header', async () => {
    const file = toSafetensors(tinyTensors(), (header) => {
      header.__metadata__ = { pad: '' }
      const length = JSON.stringify(header).length
      const wanted = Math.ceil((length - 0x280) / 0x10000) * 0x10000 + 0x280
      header.__metadata__ = { pad: ' '.repeat(wanted - length) }
    })
    expect([...file.subarray(0, 2)]).toEqual([0x80, 0x02])
    expect((await inspect(tinyConfig(), file)).numTensors).toBe(8)
  })

  test('a stream that ends before the length that was promised', async () => {
    const source = { config: toJsonBytes(tinyConfig()), weights: inChunks(valid.subarray(0, -8)) }
    expect(
      await problemOf(inspectAdapter({ ...source, weightsBytes: valid.length }, tinyShape)),
    ).toBe('adapter_invalid: adapter_model.safetensors: ends before its last tensor')
  })
})
