import { AppError, limits } from '@punica/schema'
import { z } from 'zod'
import type { ByteReader } from './byte-reader.ts'

/** Bytes of one element of the types that are served. */
const elementBytes = { F32: 4, F16: 2, BF16: 2 } as const
export type Dtype = keyof typeof elementBytes

export type Tensor = {
  name: string
  dtype: Dtype
  shape: readonly number[]
  /** Offset into the data that follows the header. */
  begin: number
  sizeBytes: number
}

const Entry = z.strictObject({
  dtype: z.string().max(16),
  shape: z.array(z.int().nonnegative()).max(8),
  data_offsets: z.tuple([z.int().nonnegative(), z.int().nonnegative()]),
})

/** No adapter that fits a base model has more; it bounds the work on a header that lies. */
const maxTensors = 16_384

const invalid = (message: string): AppError =>
  new AppError('adapter_invalid', `adapter_model.safetensors: ${message}`)

/**
 * Reads the header of a safetensors file: u64 length, JSON, then the data. Returns the tensors in
 * the order of their data, which together cover it without hole or overlap. `sizeBytes` is the
 * length of the whole file. Throws AppError `adapter_invalid` naming the tensor at fault.
 */
export const readHeader = async (reader: ByteReader, sizeBytes: number): Promise<Tensor[]> => {
  const prefix = await reader.read(Math.min(9, sizeBytes))
  const headerBytes = checkPrefix(prefix, sizeBytes)
  const header = new Uint8Array(headerBytes)
  header.set(prefix.subarray(8))
  header.set(await reader.read(headerBytes - 1), 1)
  const tensors = parseEntries(parseJson(header))
  checkLayout(tensors, sizeBytes - 8 - headerBytes)
  return tensors
}

const startsWith = (bytes: Uint8Array, magic: string): boolean =>
  [...magic].every((character, i) => bytes[i] === character.charCodeAt(0))

/** The length of the header, from the 8 bytes of it and the first of the JSON. */
const checkPrefix = (prefix: Uint8Array, sizeBytes: number): number => {
  const length =
    prefix.length < 9 ? 0n : new DataView(prefix.buffer, prefix.byteOffset).getBigUint64(0, true)
  if (length >= 2n && length <= BigInt(sizeBytes - 8) && prefix[8] === 0x7b) {
    if (length <= BigInt(limits.safetensorsHeaderBytes)) return Number(length)
    throw invalid(`header has ${length} bytes, the limit is ${limits.safetensorsHeaderBytes}`)
  }
  if (startsWith(prefix, 'PK\x03\x04')) {
    throw invalid('is a zip archive (a PyTorch .bin or .pt file?); save it as safetensors')
  }
  // Opcode PROTO of a pickle, and its version.
  if (prefix[0] === 0x80 && prefix[1] !== undefined && prefix[1] >= 2 && prefix[1] <= 5) {
    throw invalid('is a Python pickle, which is never read; save it as safetensors')
  }
  if (startsWith(prefix, 'GGUF')) throw invalid('is a GGUF file; save it as safetensors')
  throw invalid(`is not a safetensors file, or is cut off: it has ${sizeBytes} bytes`)
}

/** A header is an object of objects with lists of numbers; `__metadata__` has texts. */
const maxDepth = 3
/** Of each tensor: its name and three fields, its object and two lists, the numbers in them. */
const maxFields = 4 * maxTensors + 1_024
const maxBrackets = 3 * maxTensors + 8
const maxCommas = 16 * maxTensors

/**
 * Parsed, a header of many tiny values takes a hundred times its own size, and seconds in which this
 * process does nothing else. So its values are counted before, in one pass over its bytes.
 */
const checkStructure = (header: Uint8Array): void => {
  const counts = { depth: 0, fields: 0, brackets: 0, commas: 0 }
  let isText = false
  for (let at = 0; at < header.length; at++) {
    const byte = header[at]
    if (isText) {
      if (byte === 0x5c) at++
      else if (byte === 0x22) isText = false
    } else if (byte === 0x22) isText = true
    else if (byte === 0x3a) counts.fields++
    else if (byte === 0x2c) counts.commas++
    else if (byte === 0x7b || byte === 0x5b) {
      counts.brackets++
      if (++counts.depth > maxDepth) throw invalid('header nests deeper than that of any tensor')
    } else if (byte === 0x7d || byte === 0x5d) counts.depth--
  }
  const { fields, brackets, commas } = counts
  if (fields > maxFields || brackets > maxBrackets || commas > maxCommas) {
    throw invalid(`header has more values than ${maxTensors} tensors, the limit`)
  }
}

const parseJson = (header: Uint8Array): Record<string, unknown> => {
  checkStructure(header)
  try {
    const json: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(header))
    return z.record(z.string(), z.unknown()).parse(json)
  } catch {
    throw invalid('header is not a JSON object')
  }
}

const parseEntries = (json: Record<string, unknown>): Tensor[] => {
  const entries = Object.entries(json).filter(([name]) => name !== '__metadata__')
  if (entries.length === 0) throw invalid('has no tensors')
  if (entries.length > maxTensors) {
    throw invalid(`has ${entries.length} tensors, the limit is ${maxTensors}`)
  }
  return entries.map(([name, value]) => parseEntry(name, value)).sort((a, b) => a.begin - b.begin)
}

const parseEntry = (name: string, value: unknown): Tensor => {
  const label = `tensor ${shorten(name)}`
  const entry = Entry.safeParse(value)
  if (!entry.success) {
    const issue = entry.error.issues[0]
    throw invalid(`${label}: ${issue?.path.join('.')}: ${issue?.message}`)
  }
  const { dtype, shape } = entry.data
  if (!isServed(dtype)) throw invalid(`${label}: dtype ${dtype} is not F32, F16 or BF16`)
  const [begin, end] = entry.data.data_offsets
  const sizeBytes = shape.reduce((product, size) => product * size, elementBytes[dtype])
  if (sizeBytes !== end - begin) {
    throw invalid(
      `${label}: data_offsets span ${end - begin} bytes, shape [${shape}] in ${dtype} takes ${sizeBytes}`,
    )
  }
  return { name, dtype, shape, begin, sizeBytes }
}

const isServed = (dtype: string): dtype is Dtype => Object.hasOwn(elementBytes, dtype)

/** A name as a message may show it, whatever was uploaded. */
export const shorten = (name: string): string =>
  JSON.stringify(name.length > 160 ? `${name.slice(0, 160)}...` : name)

const checkLayout = (tensors: readonly Tensor[], dataBytes: number): void => {
  let end = 0
  for (const { name, begin, sizeBytes } of tensors) {
    if (begin !== end) {
      const problem = begin < end ? 'overlaps the tensor before it' : 'leaves a hole before it'
      throw invalid(`tensor ${shorten(name)}: begins at ${begin}, which ${problem} (${end})`)
    }
    end = begin + sizeBytes
  }
  if (end !== dataBytes) {
    throw invalid(
      `the tensors take ${end} bytes, but ${dataBytes} follow the header: cut off or padded`,
    )
  }
}
