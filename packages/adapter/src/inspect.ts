import { AppError } from '@punica/schema'
import { type PeftConfig, parseAdapterConfig } from './adapter-config.ts'
import { createByteReader } from './byte-reader.ts'
import { matchTensors } from './match-tensors.ts'
import { type ModelShape, type ProjectionName, projectionNames } from './model-shape.ts'
import { readHeader } from './safetensors.ts'
import { scanTensor } from './scan.ts'
import { selectTargets } from './targets.ts'

/** The files of a PEFT folder. The weights are read once, front to back. */
export type AdapterSource = {
  /** adapter_config.json */
  config: Uint8Array
  /** adapter_model.safetensors */
  weights: AsyncIterable<Uint8Array>
  /** The length of `weights`. */
  weightsBytes: number
}

export type AdapterManifest = {
  /** The largest rank of any module. */
  rank: number
  /** In the order in which a layer applies them. */
  targetModules: ProjectionName[]
  numTensors: number
  /** Of the tensors, without the header and the configuration. */
  sizeBytes: number
}

/**
 * Checks a PEFT LoRA against a base model and says what it holds. Memory is bounded by the header
 * and one chunk of the stream, and nothing is ever unpickled or executed.
 *
 * Throws AppError `adapter_invalid` for files that are broken, not a LoRA, not finite, or without
 * any effect, and `adapter_incompatible` for a sound adapter that this base model or the engine
 * cannot serve. The message names the file, the field or tensor, and the limit.
 */
export const inspectAdapter = async (
  { config, weights, weightsBytes }: AdapterSource,
  shape: ModelShape,
): Promise<AdapterManifest> => {
  const peft: PeftConfig = parseAdapterConfig(config)
  const targets = selectTargets(peft, shape)
  const reader = createByteReader(weights)
  const tensors = matchTensors(await readHeader(reader, weightsBytes), targets, shape)

  /** Sides (A, B) of each module that hold anything but zeros. */
  const filled = new Map<string, number>()
  for (const tensor of tensors) {
    const hasValues = await scanTensor(reader, tensor)
    const { name, scale } = tensor.target
    if (hasValues && scale > 0) filled.set(name, (filled.get(name) ?? 0) + 1)
  }
  if (![...filled.values()].includes(2)) {
    throw new AppError(
      'adapter_invalid',
      'adapter_model.safetensors: changes nothing: in every module lora_A, lora_B or lora_alpha is zero',
    )
  }

  const used = new Set([...targets.values()].map((target) => target.projection))
  return {
    rank: Math.max(...[...targets.values()].map((target) => target.rank)),
    targetModules: projectionNames.filter((name) => used.has(name)),
    numTensors: tensors.length,
    sizeBytes: tensors.reduce((sum, tensor) => sum + tensor.sizeBytes, 0),
  }
}
