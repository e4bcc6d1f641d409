import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { AppError } from '@punica/schema'
import { z } from 'zod'

/** The sizes of a Llama-shaped decoder that its adapters must fit. */
export const ModelShape = z.strictObject({
  architecture: z.string(),
  hiddenSize: z.int().positive(),
  numHeads: z.int().positive(),
  numKvHeads: z.int().positive(),
  headDim: z.int().positive(),
  intermediateSize: z.int().positive(),
  numLayers: z.int().positive(),
  maxPositions: z.int().positive(),
})
export type ModelShape = z.infer<typeof ModelShape>

/** What config.json of a Hugging Face folder says; what it says beside is the engine's business. */
const HuggingFaceConfig = z.object({
  architectures: z.array(z.string()).min(1),
  hidden_size: z.int().positive(),
  num_attention_heads: z.int().positive(),
  num_key_value_heads: z.int().positive().nullish(),
  head_dim: z.int().positive().nullish(),
  intermediate_size: z.int().positive(),
  num_hidden_layers: z.int().positive(),
  max_position_embeddings: z.int().positive(),
})

/** Throws AppError `invalid_request` naming the field that is missing or out of range. */
export const parseModelShape = (config: unknown): ModelShape => {
  const parsed = HuggingFaceConfig.safeParse(config)
  if (!parsed.success) {
    const issue = parsed.error.issues[0]
    const field = issue?.path.join('.') ?? ''
    throw new AppError('invalid_request', `config.json: ${field}: ${issue?.message}`, {
      param: field,
    })
  }
  const { data } = parsed
  return {
    architecture: data.architectures[0] ?? '',
    hiddenSize: data.hidden_size,
    numHeads: data.num_attention_heads,
    numKvHeads: data.num_key_value_heads ?? data.num_attention_heads,
    headDim: data.head_dim ?? Math.floor(data.hidden_size / data.num_attention_heads),
    intermediateSize: data.intermediate_size,
    numLayers: data.num_hidden_layers,
    maxPositions: data.max_position_embeddings,
  }
}

/** Reads `folder`/config.json. Rejects where it cannot be read, is not JSON, or lacks a size. */
export const readModelShape = async (folder: string): Promise<ModelShape> =>
  parseModelShape(JSON.parse(await readFile(join(folder, 'config.json'), 'utf8')))

export const projections = {
  q_proj: 'self_attn',
  k_proj: 'self_attn',
  v_proj: 'self_attn',
  o_proj: 'self_attn',
  gate_proj: 'mlp',
  up_proj: 'mlp',
  down_proj: 'mlp',
} as const
export type ProjectionName = keyof typeof projections

export const projectionNames = [
  'q_proj',
  'k_proj',
  'v_proj',
  'o_proj',
  'gate_proj',
  'up_proj',
  'down_proj',
] as const

/** Inputs and outputs of a projection: its base weight is [out, in]. */
export const projectionSize = (
  shape: ModelShape,
  projection: ProjectionName,
): { in: number; out: number } => {
  const { hiddenSize: hidden, intermediateSize: inner } = shape
  const queries = shape.numHeads * shape.headDim
  const keys = shape.numKvHeads * shape.headDim
  switch (projection) {
    case 'q_proj':
      return { in: hidden, out: queries }
    case 'k_proj':
    case 'v_proj':
      return { in: hidden, out: keys }
    case 'o_proj':
      return { in: queries, out: hidden }
    case 'gate_proj':
    case 'up_proj':
      return { in: hidden, out: inner }
    case 'down_proj':
      return { in: inner, out: hidden }
  }
}

/** A dense projection of one layer, under the name that it has inside the base model. */
export type Module = { layer: number; projection: ProjectionName; name: string }

/** Every projection that an adapter may change, layer by layer. */
export const listModules = (shape: ModelShape): Module[] =>
  Array.from({ length: shape.numLayers }, (_, layer) =>
    projectionNames.map((projection) => ({
      layer,
      projection,
      name: `model.layers.${layer}.${projections[projection]}.${projection}`,
    })),
  ).flat()
