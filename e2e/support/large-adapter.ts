import { readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { models } from './system.ts'

const numLayers = 8
const rank = 256
/** [module, inputs, outputs] of the demo model. */
const modules = [
  ['self_attn.q_proj', 256, 256],
  ['self_attn.k_proj', 256, 128],
  ['self_attn.v_proj', 256, 128],
  ['self_attn.o_proj', 256, 256],
  ['mlp.gate_proj', 256, 512],
  ['mlp.up_proj', 256, 512],
  ['mlp.down_proj', 512, 256],
] as const

/** Writes a sound adapter of the demo model into an empty folder: 34 MB, several parts of an upload. */
export const writeLargeAdapter = async (folder: string): Promise<void> => {
  const source = path.join(models, 'adapters', 'french', 'adapter_config.json')
  const config = { ...JSON.parse(await readFile(source, 'utf8')), r: rank, lora_alpha: rank }
  await writeFile(path.join(folder, 'adapter_config.json'), JSON.stringify(config))
  const header: Record<string, object> = {}
  let numValues = 0
  const add = (name: string, shape: [number, number]): void => {
    const begin = 4 * numValues
    numValues += shape[0] * shape[1]
    header[name] = { dtype: 'F32', shape, data_offsets: [begin, 4 * numValues] }
  }
  for (let layer = 0; layer < numLayers; layer++) {
    for (const [module, numInputs, numOutputs] of modules) {
      const name = `base_model.model.model.layers.${layer}.${module}`
      add(`${name}.lora_A.weight`, [rank, numInputs])
      add(`${name}.lora_B.weight`, [numOutputs, rank])
    }
  }
  // Any values do that change an answer; these repeat only after a prime number of them.
  const values = Float32Array.from({ length: numValues }, (_, i) => ((i % 9973) / 9973 - 0.5) / 20)
  const json = Buffer.from(JSON.stringify(header))
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(json.length))
  const data = Buffer.from(values.buffer)
  await writeFile(
    path.join(folder, 'adapter_model.safetensors'),
    Buffer.concat([length, json, data]),
  )
}
