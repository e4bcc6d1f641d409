// An adapter of the Llama-2-7B shape whose weights are made while they are sent.

const layers = 32
const hidden = 4096
const intermediate = 11_008

/** Projections of a layer with the width of their input and output. */
const projections = [
  ['self_attn.q_proj', hidden, hidden],
  ['self_attn.k_proj', hidden, hidden],
  ['self_attn.v_proj', hidden, hidden],
  ['self_attn.o_proj', hidden, hidden],
  ['mlp.gate_proj', hidden, intermediate],
  ['mlp.up_proj', hidden, intermediate],
  ['mlp.down_proj', intermediate, hidden],
] as const

const bytesPerRank =
  4 * layers * projections.reduce((sum, [, input, output]) => sum + input + output, 0)

/** config.json of the base model. */
export const modelConfig = {
  architectures: ['LlamaForCausalLM'],
  model_type: 'llama',
  hidden_size: hidden,
  num_attention_heads: 32,
  num_key_value_heads: 32,
  intermediate_size: intermediate,
  num_hidden_layers: layers,
  max_position_embeddings: 4096,
  vocab_size: 32_000,
  rms_norm_eps: 1e-5,
}

export type LargeAdapter = {
  config: Uint8Array
  weightsBytes: number
  /** The weights from a byte on, in chunks. */
  weights(from: number): AsyncGenerator<Uint8Array>
}

/** The rank, in F32 on every projection, that comes closest to so many bytes from below. */
export const makeLargeAdapter = (numBytes: number): LargeAdapter => {
  const rank = Math.min(256, Math.max(1, Math.floor(numBytes / bytesPerRank)))
  const entries: Record<string, unknown> = {}
  let end = 0
  const add = (name: string, shape: [number, number]): void => {
    const size = 4 * shape[0] * shape[1]
    entries[name] = { dtype: 'F32', shape, data_offsets: [end, end + size] }
    end += size
  }
  for (let layer = 0; layer < layers; layer++) {
    for (const [name, input, output] of projections) {
      const module = `base_model.model.model.layers.${layer}.${name}`
      add(`${module}.lora_A.weight`, [rank, input])
      add(`${module}.lora_B.weight`, [output, rank])
    }
  }
  const json = Buffer.from(JSON.stringify(entries))
  const header = Buffer.alloc(8 + json.length)
  header.writeBigUInt64LE(BigInt(json.length))
  json.copy(header, 8)
  const config = {
    peft_type: 'LORA',
    task_type: 'CAUSAL_LM',
    r: rank,
    lora_alpha: 2 * rank,
    target_modules: projections.map(([name]) => name.split('.')[1]),
    bias: 'none',
  }
  return {
    config: Buffer.from(JSON.stringify(config)),
    weightsBytes: header.length + end,
    weights: (from) => stream(header, header.length + end, from),
  }
}

const chunkFloats = 64 * 1024
const values = new Float32Array(chunkFloats).map((_, i) => Math.sin(i) / 100)

/** Every chunk is another, so that no store can keep one for all. */
async function* stream(header: Buffer, size: number, from: number): AsyncGenerator<Uint8Array> {
  if (from < header.length) yield header.subarray(from)
  let at = Math.max(from, header.length)
  while (at < size) {
    const index = Math.floor((at - header.length) / (4 * chunkFloats))
    const floats = new Float32Array(values)
    floats[0] = (index + 1) / 2 ** 24
    const begin = (at - header.length) % (4 * chunkFloats)
    const chunk = new Uint8Array(floats.buffer).subarray(begin, begin + size - at)
    yield chunk
    at += chunk.length
  }
}
