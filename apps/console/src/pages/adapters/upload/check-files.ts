import { formatBytes, plural } from '../../../format.ts'
import { configName, type PeftFiles, weightsName } from './pick-files.ts'

/** One thing that was looked at before anything is sent. */
export type Check = { title: string; isOk: boolean; detail: string }

const maxConfigBytes = 64 * 1024
const maxHeaderBytes = 16 * 1024 ** 2
const maxRank = 256
const dtypes = ['F32', 'F16', 'BF16']

/**
 * What can be told of the files without sending them, so that a wrong folder is refused in a moment
 * rather than after gigabytes. The control plane checks all of it again, and more.
 */
export const checkFiles = async ({ config, weights }: PeftFiles): Promise<Check[]> => [
  ...(await checkConfig(config)),
  await checkWeights(weights),
]

const checkConfig = async (file: File): Promise<Check[]> => {
  if (file.size > maxConfigBytes) {
    const detail = `It has ${formatBytes(file.size)}; the limit is ${formatBytes(maxConfigBytes)}.`
    return [{ title: configName, isOk: false, detail }]
  }
  const config = parseObject(await file.text())
  if (config === null) {
    return [{ title: configName, isOk: false, detail: 'It is not a JSON object.' }]
  }
  return [checkKind(config), checkRank(config), checkModules(config)]
}

type Config = Record<string, unknown>

const checkKind = ({
  peft_type: type,
  use_dora: dora,
  bias,
  modules_to_save: saved,
}: Config): Check => {
  const title = 'Kind'
  const refuse = (detail: string): Check => ({ title, isOk: false, detail })
  if (type !== 'LORA') return refuse(`peft_type is ${JSON.stringify(type)}; it must be "LORA".`)
  if (dora === true) return refuse('use_dora is set; DoRA is not supported.')
  if (typeof bias === 'string' && bias !== 'none') {
    return refuse(`bias is "${bias}"; trained biases are not supported.`)
  }
  if (Array.isArray(saved) && saved.length > 0) {
    return refuse('modules_to_save is set; whole trained modules are not supported.')
  }
  return { title, isOk: true, detail: 'LoRA of PEFT' }
}

const checkRank = ({ r }: Config): Check => ({
  title: 'Rank',
  isOk: typeof r === 'number' && Number.isInteger(r) && r >= 1 && r <= maxRank,
  detail: typeof r === 'number' ? `${r}, of 1 to ${maxRank}` : 'r is no number.',
})

const checkModules = ({ target_modules: modules }: Config): Check => {
  const title = 'Modules'
  if (typeof modules === 'string' && modules !== '') return { title, isOk: true, detail: modules }
  const names = Array.isArray(modules) ? modules.map(String) : []
  return {
    title,
    isOk: names.length > 0,
    detail: names.length > 0 ? names.join(', ') : 'target_modules names none.',
  }
}

const checkWeights = async (file: File): Promise<Check> => {
  const refuse = (detail: string): Check => ({ title: weightsName, isOk: false, detail })
  const start = await file.slice(0, 8).arrayBuffer()
  if (start.byteLength < 8) return refuse('It is too short to be a safetensors file.')
  const headerBytes = Number(new DataView(start).getBigUint64(0, true))
  if (headerBytes > maxHeaderBytes || 8 + headerBytes > file.size) {
    return refuse('It is no safetensors file, or it is cut off in its header.')
  }
  const header = parseObject(await file.slice(8, 8 + headerBytes).text())
  if (header === null) return refuse('Its header is not JSON: it is no safetensors file.')
  const tensors = Object.entries(header).filter(([name]) => name !== '__metadata__')
  const end = Math.max(0, ...tensors.map(([, tensor]) => endOf(tensor)))
  if (8 + headerBytes + end !== file.size) {
    return refuse(
      `It should have ${formatBytes(8 + headerBytes + end)} and has ${formatBytes(file.size)}: it is cut off, or not all of one file.`,
    )
  }
  const others = tensors.filter(([, tensor]) => !dtypes.includes(dtypeOf(tensor)))
  if (others[0] !== undefined) {
    const [name, tensor] = others[0]
    return refuse(`${name} is ${dtypeOf(tensor)}; weights must be ${dtypes.join(', ')}.`)
  }
  if (!tensors.some(([name]) => name.includes('lora_A'))) return refuse('It has no LoRA tensors.')
  const detail = `${plural(tensors.length, 'tensor')}, ${formatBytes(file.size)}`
  return { title: weightsName, isOk: true, detail }
}

const parseObject = (text: string): Record<string, unknown> | null => {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? Object.fromEntries(Object.entries(value))
      : null
  } catch {
    return null
  }
}

const fieldOf = (tensor: unknown, name: string): unknown =>
  typeof tensor === 'object' && tensor !== null
    ? Object.entries(tensor).find(([key]) => key === name)?.[1]
    : undefined

const dtypeOf = (tensor: unknown): string => String(fieldOf(tensor, 'dtype'))

const endOf = (tensor: unknown): number => {
  const offsets = fieldOf(tensor, 'data_offsets')
  const end: unknown = Array.isArray(offsets) ? offsets[1] : undefined
  return typeof end === 'number' ? end : 0
}
