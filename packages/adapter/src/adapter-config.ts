import { AppError, limits } from '@punica/schema'
import { z } from 'zod'

const Names = z.union([z.string(), z.array(z.string())])

/** What PEFT writes to adapter_config.json, as far as it says which LoRA to apply where. */
const PeftConfig = z.object({
  peft_type: z.string(),
  task_type: z.string().nullish(),
  r: z.int().positive(),
  lora_alpha: z.number().nonnegative(),
  use_rslora: z.boolean().nullish(),
  rank_pattern: z.record(z.string(), z.int().positive()).nullish(),
  alpha_pattern: z.record(z.string(), z.number().nonnegative()).nullish(),
  target_modules: Names.nullish(),
  exclude_modules: Names.nullish(),
  layers_to_transform: z.union([z.int(), z.array(z.int())]).nullish(),
  layers_pattern: Names.nullish(),
  fan_in_fan_out: z.boolean().nullish(),
  bias: z.string().nullish(),
  init_lora_weights: z.union([z.boolean(), z.string()]).nullish(),
})
export type PeftConfig = z.infer<typeof PeftConfig>

/** Extensions that change what the weights mean. Absent, null, false and empty all mean "not used". */
const unsupported = [
  'use_dora',
  'lora_bias',
  'modules_to_save',
  'trainable_token_indices',
  'layer_replication',
  'target_parameters',
  'megatron_config',
  'fan_in_fan_out',
  'use_qalora',
  'use_bdlora',
  'alora_invocation_tokens',
  'arrow_config',
  'kasa_config',
  'monteclora_config',
  'velora_config',
] as const

/**
 * Initialisations that leave the base weights as they are. The others (pissa, olora, corda, loftq,
 * ...) train against a changed base, so that their adapters are wrong on the published one.
 */
const plainInitialisations: unknown[] = [undefined, null, true, false, 'gaussian', 'eva']

const isUsed = (value: unknown): boolean => {
  if (value === undefined || value === null || value === false || value === '') return false
  return typeof value !== 'object' || Object.keys(value).length > 0
}

const invalid = (message: string, param?: string): AppError =>
  new AppError('adapter_invalid', `adapter_config.json: ${message}`, { param })

const unsupportedField = (field: string, message: string): AppError =>
  new AppError('adapter_incompatible', `adapter_config.json: ${field}: ${message}`, {
    param: field,
  })

/**
 * Reads adapter_config.json. Throws AppError `adapter_invalid` where it is not the configuration of
 * a PEFT LoRA, and `adapter_incompatible` naming the field of an extension that is not served.
 */
export const parseAdapterConfig = (bytes: Uint8Array): PeftConfig => {
  if (bytes.length > limits.adapterConfigBytes) {
    throw invalid(`has ${bytes.length} bytes, the limit is ${limits.adapterConfigBytes}`)
  }
  const json = parseJson(bytes)
  if (json.peft_type !== undefined && json.peft_type !== 'LORA') {
    throw unsupportedField('peft_type', `${JSON.stringify(json.peft_type)} is not served; LORA is`)
  }
  for (const field of unsupported) {
    if (isUsed(json[field])) throw unsupportedField(field, 'is not supported; train without it')
  }
  if (json.bias !== undefined && json.bias !== null && json.bias !== 'none') {
    throw unsupportedField('bias', `${JSON.stringify(json.bias)} is not supported; use "none"`)
  }
  if (!plainInitialisations.includes(json.init_lora_weights)) {
    throw unsupportedField(
      'init_lora_weights',
      `${JSON.stringify(json.init_lora_weights)} trains against a changed base model; ` +
        'convert it to a plain LoRA with PEFT (path_initial_model_for_weight_conversion)',
    )
  }
  const config = PeftConfig.safeParse(json)
  if (config.success) return config.data
  const issue = config.error.issues[0]
  const field = issue?.path.join('.') ?? ''
  throw invalid(`${field}: ${issue?.message ?? 'is invalid'}`, field)
}

const parseJson = (bytes: Uint8Array): Record<string, unknown> => {
  let json: unknown
  try {
    json = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    throw invalid(`is not JSON: ${why}`)
  }
  const parsed = z.record(z.string(), z.unknown()).safeParse(json)
  if (!parsed.success) throw invalid('is not a JSON object')
  return parsed.data
}
