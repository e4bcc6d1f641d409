import { AppError } from '@punica/schema'
import { type ModelShape, projectionSize, projections } from './model-shape.ts'
import { shorten, type Tensor } from './safetensors.ts'
import type { Target } from './targets.ts'

/** A tensor together with the projection that it changes. */
export type LoraTensor = Tensor & { target: Target; side: 'A' | 'B' }

/** `default` is the name of the adapter where it was saved with its name. */
const lora = /^base_model\.model\.(.+)\.lora_([AB])(?:\.default)?\.weight$/

const incompatible = (name: string, message: string): AppError =>
  new AppError(
    'adapter_incompatible',
    `adapter_model.safetensors: tensor ${shorten(name)}: ${message}`,
  )

const invalid = (name: string, message: string): AppError =>
  new AppError('adapter_invalid', `adapter_model.safetensors: tensor ${shorten(name)}: ${message}`)

/**
 * Finds for every tensor the projection that it changes, and checks its shape: A is [rank, in] and
 * B is [out, rank]. Throws AppError naming the tensor that does not belong, does not fit, or is
 * missing.
 */
export const matchTensors = (
  tensors: readonly Tensor[],
  targets: ReadonlyMap<string, Target>,
  shape: ModelShape,
): LoraTensor[] => {
  const found = new Set<string>()
  const matched = tensors.map((tensor): LoraTensor => {
    const { moduleName, side } = parseName(tensor.name)
    const target = targets.get(moduleName)
    if (target === undefined) throw explainUnknown(tensor.name, moduleName, shape)
    checkShape(tensor, side, target, shape)
    const key = `${moduleName}.${side}`
    if (found.has(key)) throw invalid(tensor.name, 'is given twice')
    found.add(key)
    return { ...tensor, target, side }
  })
  for (const name of targets.keys()) {
    for (const side of ['A', 'B']) {
      if (found.has(`${name}.${side}`)) continue
      const tensor = `base_model.model.${name}.lora_${side}.weight`
      throw invalid(tensor, 'is missing, though adapter_config.json targets its module')
    }
  }
  return matched
}

const parseName = (name: string): { moduleName: string; side: 'A' | 'B' } => {
  if (name.includes('lora_magnitude_vector')) {
    throw incompatible(name, 'belongs to DoRA, which is not supported')
  }
  if (name.includes('lora_embedding_') || name.includes('embed_tokens')) {
    throw incompatible(name, 'changes the embeddings, which is not supported')
  }
  if (name.includes('lm_head')) {
    throw incompatible(name, 'changes the output head, which is not supported')
  }
  if (/\.bias$/.test(name)) throw incompatible(name, 'is a bias, which is not supported')
  const [, moduleName, side] = lora.exec(name) ?? []
  if (moduleName === undefined || (side !== 'A' && side !== 'B')) {
    throw invalid(name, 'is not a LoRA matrix (base_model.model.<module>.lora_A.weight or lora_B)')
  }
  return { moduleName, side }
}

const explainUnknown = (name: string, moduleName: string, shape: ModelShape): AppError => {
  const [, layer, block, projection] = /^model\.layers\.(\d+)\.(\w+)\.(\w+)$/.exec(moduleName) ?? []
  const known = Object.entries(projections).some(([p, b]) => p === projection && b === block)
  if (!known) return incompatible(name, 'its module does not exist in the base model')
  if (Number(layer) >= shape.numLayers) {
    return incompatible(name, `the base model has ${shape.numLayers} layers, numbered from 0`)
  }
  return invalid(name, 'adapter_config.json does not target its module')
}

const checkShape = (tensor: Tensor, side: 'A' | 'B', target: Target, shape: ModelShape): void => {
  const size = projectionSize(shape, target.projection)
  const { rank } = target
  const [rows, columns] = side === 'A' ? [rank, size.in] : [size.out, rank]
  if (tensor.shape.length === 2 && tensor.shape[0] === rows && tensor.shape[1] === columns) return
  const problem = `has shape [${tensor.shape}], expected [${rows},${columns}]`
  const rankOf = side === 'A' ? tensor.shape[0] : tensor.shape[1]
  const sizeOf = side === 'A' ? tensor.shape[1] : tensor.shape[0]
  if (rankOf !== rank && sizeOf === (side === 'A' ? size.in : size.out)) {
    throw invalid(tensor.name, `${problem}: adapter_config.json says rank ${rank}`)
  }
  throw incompatible(tensor.name, `${problem} for this base model (is it for another one?)`)
}
