import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { AppError } from '@punica/schema'

export type JsonObject = { readonly [key: string]: unknown }

/** The files of a Hugging Face model folder that say how text becomes token ids. */
export type ModelFolder = {
  /** tokenizer.json */
  tokenizer: JsonObject
  /** tokenizer_config.json; empty where the folder has none. */
  tokenizerConfig: JsonObject
  /** config.json; empty where the folder has none. */
  config: JsonObject
  /** generation_config.json; empty where the folder has none. */
  generationConfig: JsonObject
  /** chat_template.jinja, which newer folders have beside tokenizer_config.json. */
  chatTemplate: string | null
}

/** Throws `invalid_request` naming the file when tokenizer.json is missing or a file is not JSON. */
export const readModelFolder = async (folder: string): Promise<ModelFolder> => {
  const readJson = async (name: string): Promise<JsonObject | null> => {
    const text = await readIfThere(join(folder, name))
    return text === null ? null : parseObject(text, join(folder, name))
  }
  const [tokenizer, tokenizerConfig, config, generationConfig, chatTemplate] = await Promise.all([
    readJson('tokenizer.json'),
    readJson('tokenizer_config.json'),
    readJson('config.json'),
    readJson('generation_config.json'),
    readIfThere(join(folder, 'chat_template.jinja')),
  ])
  if (tokenizer === null) {
    throw new AppError('invalid_request', `${folder}: has no tokenizer.json`)
  }
  return {
    tokenizer,
    tokenizerConfig: tokenizerConfig ?? {},
    config: config ?? {},
    generationConfig: generationConfig ?? {},
    chatTemplate,
  }
}

export const isObject = (value: unknown): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const readIfThere = async (path: string): Promise<string | null> => {
  try {
    return await readFile(path, 'utf8')
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') return null
    throw cause
  }
}

const parseObject = (text: string, path: string): JsonObject => {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    throw new AppError('invalid_request', `${path}: is not JSON`, { cause })
  }
  if (!isObject(value)) throw new AppError('invalid_request', `${path}: is not a JSON object`)
  return value
}
