// Writes small PEFT adapters, right or wrong in one place, for tests.
import { AppError } from '@punica/schema'
import { type AdapterManifest, inspectAdapter } from './inspect.ts'
import { listModules, type ModelShape, projectionSize } from './model-shape.ts'

export type TestTensor = { dtype: string; shape: number[]; data: Uint8Array }

export const tinyShape: ModelShape = {
  architecture: 'LlamaForCausalLM',
  hiddenSize: 12,
  numHeads: 4,
  numKvHeads: 2,
  headDim: 4,
  intermediateSize: 20,
  numLayers: 2,
  maxPositions: 64,
}

/** One value, over and over, as the bytes of a tensor. */
export const filled = (shape: number[], value = 0.5): TestTensor => {
  const numbers = new Float32Array(shape.reduce((a, b) => a * b, 1)).fill(value)
  return { dtype: 'F32', shape, data: new Uint8Array(numbers.buffer) }
}

export const tinyConfig = (changes: Record<string, unknown> = {}): Record<string, unknown> => ({
  peft_type: 'LORA',
  task_type: 'CAUSAL_LM',
  r: 4,
  lora_alpha: 8,
  target_modules: ['q_proj', 'v_proj'],
  bias: 'none',
  ...changes,
})

/** Both matrices of every module whose projection is named, rank 4 unless `rankOf` says otherwise. */
export const tinyTensors = (
  names: readonly string[] = ['q_proj', 'v_proj'],
  rankOf: (module: string) => number = () => 4,
): Record<string, TestTensor> => {
  const tensors: Record<string, TestTensor> = {}
  for (const { name, projection } of listModules(tinyShape)) {
    if (!names.includes(projection)) continue
    const size = projectionSize(tinyShape, projection)
    const rank = rankOf(name)
    tensors[`base_model.model.${name}.lora_A.weight`] = filled([rank, size.in])
    tensors[`base_model.model.${name}.lora_B.weight`] = filled([size.out, rank])
  }
  return tensors
}

/** A safetensors file; `change` may make its header lie. */
export const toSafetensors = (
  tensors: Record<string, TestTensor>,
  change: (header: Record<string, unknown>) => void = () => {},
): Uint8Array => {
  const header: Record<string, unknown> = { __metadata__: { format: 'pt' } }
  let end = 0
  for (const [name, { dtype, shape, data }] of Object.entries(tensors)) {
    header[name] = { dtype, shape, data_offsets: [end, end + data.length] }
    end += data.length
  }
  change(header)
  const json = new TextEncoder().encode(JSON.stringify(header))
  const file = new Uint8Array(8 + json.length + end)
  new DataView(file.buffer).setBigUint64(0, BigInt(json.length), true)
  file.set(json, 8)
  let at = 8 + json.length
  for (const { data } of Object.values(tensors)) {
    file.set(data, at)
    at += data.length
  }
  return file
}

export const toJsonBytes = (value: unknown): Uint8Array =>
  new TextEncoder().encode(JSON.stringify(value))

/** A stream of a file in chunks of the sizes given, again and again. */
export const inChunks = async function* (
  file: Uint8Array,
  sizes: readonly number[] = [4096],
): AsyncGenerator<Uint8Array> {
  for (let at = 0, i = 0; at < file.length; i++) {
    const size = sizes[i % sizes.length] ?? 1
    yield file.subarray(at, at + size)
    at += size
  }
}

/** Inspects an adapter for `tinyShape`; a sound one where nothing is given. */
export const inspect = (
  config: Record<string, unknown> = tinyConfig(),
  file: Uint8Array = toSafetensors(tinyTensors()),
  sizes?: readonly number[],
): Promise<AdapterManifest> =>
  inspectAdapter(
    { config: toJsonBytes(config), weights: inChunks(file, sizes), weightsBytes: file.length },
    tinyShape,
  )

/** `code: message` of the AppError that the work ends with. */
export const problemOf = async (work: Promise<unknown>): Promise<string> => {
  const error = await work.then(
    () => 'accepted',
    (cause: unknown) => cause,
  )
  return error instanceof AppError ? `${error.code}: ${error.message}` : String(error)
}

/** Where the names of the first module's tensors begin. */
export const q0 = 'base_model.model.model.layers.0.self_attn.q_proj'
