import { describe, expect, test } from 'vitest'
import { checkFiles } from './check-files.ts'
import { pickFiles } from './pick-files.ts'

const config = { peft_type: 'LORA', r: 8, target_modules: ['q_proj', 'v_proj'], bias: 'none' }

type Tensors = Record<string, { dtype: string; shape: number[]; data_offsets: [number, number] }>

const tensors: Tensors = {
  'base_model.q_proj.lora_A.weight': { dtype: 'BF16', shape: [8, 4], data_offsets: [0, 64] },
  'base_model.q_proj.lora_B.weight': { dtype: 'BF16', shape: [4, 8], data_offsets: [64, 128] },
}

/** A safetensors file; `missing` bytes are cut off its end. */
const safetensors = (header: object | string, numBytes = 128, missing = 0): File => {
  const json = typeof header === 'string' ? header : JSON.stringify(header)
  const length = new Uint8Array(8)
  new DataView(length.buffer).setBigUint64(0, BigInt(json.length), true)
  const bytes = new Uint8Array([
    ...length,
    ...new TextEncoder().encode(json),
    ...new Uint8Array(numBytes),
  ])
  return new File([bytes.slice(0, bytes.length - missing)], 'adapter_model.safetensors')
}

const check = async (changes: object = {}, weights = safetensors(tensors)) => {
  const text = JSON.stringify({ ...config, ...changes })
  const files = { config: new File([text], 'adapter_config.json'), weights, folderName: null }
  return (await checkFiles(files)).filter(({ isOk }) => !isOk).map(({ detail }) => detail)
}

describe('files before they are sent', () => {
  test('that hold are found to', async () => {
    expect(await check()).toEqual([])
    expect(await check({ target_modules: '.*_proj' })).toEqual([])
  })

  test.each([
    ['another kind', { peft_type: 'IA3' }, 'must be "LORA"'],
    ['DoRA', { use_dora: true }, 'DoRA is not supported'],
    ['a bias', { bias: 'all' }, 'biases are not supported'],
    ['whole modules', { modules_to_save: ['lm_head'] }, 'whole trained modules'],
    ['a rank too large', { r: 512 }, '512, of 1 to 256'],
    ['no rank', { r: null }, 'r is no number'],
    ['no modules', { target_modules: [] }, 'names none'],
  ])('with %s are refused', async (_, changes, words) => {
    expect(await check(changes)).toEqual([expect.stringContaining(words)])
  })

  test.each([
    ['cut off', safetensors(tensors, 128, 10), 'it is cut off'],
    ['too short', new File(['abc'], 'adapter_model.safetensors'), 'too short'],
    ['of a lying header', safetensors(tensors, 128, 200), 'cut off in its header'],
    ['no JSON', safetensors('nonsense'), 'not JSON'],
    ['without LoRA', safetensors({ w: { dtype: 'F32', data_offsets: [0, 128] } }), 'no LoRA'],
    [
      'of eight bits',
      safetensors({ 'a.lora_A': { dtype: 'I8', data_offsets: [0, 128] } }),
      'a.lora_A is I8',
    ],
  ])('that are %s are refused', async (_, weights, words) => {
    expect(await check({}, weights)).toEqual([expect.stringContaining(words)])
  })

  test('a config that is no JSON is refused', async () => {
    const files = {
      config: new File(['{'], 'adapter_config.json'),
      weights: safetensors(tensors),
      folderName: null,
    }
    expect(await checkFiles(files)).toContainEqual(
      expect.objectContaining({ isOk: false, detail: 'It is not a JSON object.' }),
    )
  })
})

describe('choosing files', () => {
  const named = (...names: string[]): File[] =>
    names.map((name) => {
      const webkitRelativePath = `french/${name}`
      return Object.assign(new File([''], name), { webkitRelativePath })
    })

  test('finds the two among others', () => {
    const files = named('README.md', 'adapter_model.safetensors', 'adapter_config.json')
    expect(pickFiles(files)).toEqual({
      config: files[2],
      weights: files[1],
      folderName: 'french',
    })
  })

  test('says which is missing, and what to do about a pickle', () => {
    expect(pickFiles(named('adapter_config.json'))).toContain('no adapter_model.safetensors here')
    expect(pickFiles(named('adapter_config.json', 'adapter_model.bin'))).toContain('pickle')
  })
})
