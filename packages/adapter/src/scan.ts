import { AppError } from '@punica/schema'
import type { ByteReader } from './byte-reader.ts'
import type { LoraTensor } from './match-tensors.ts'
import { type Dtype, shorten } from './safetensors.ts'

/**
 * Reads the data of a tensor and returns whether any of it is not zero. Throws AppError
 * `adapter_invalid` at the first value that is infinite or not a number.
 */
export const scanTensor = async (reader: ByteReader, tensor: LoraTensor): Promise<boolean> => {
  let hasValues = false
  for await (const piece of reader.pieces(tensor.sizeBytes)) {
    const { finite, nonZero } = scan[tensor.dtype](piece)
    if (!finite) {
      const problem = 'holds a value that is infinite or not a number'
      throw new AppError(
        'adapter_invalid',
        `adapter_model.safetensors: tensor ${shorten(tensor.name)}: ${problem}`,
      )
    }
    hasValues ||= nonZero
  }
  return hasValues
}

type Found = { finite: boolean; nonZero: boolean }

/** A value is not finite where all bits of its exponent are set, and zero where none but the sign is. */
const scan16 =
  (exponent: number) =>
  (bytes: Uint8Array<ArrayBuffer>): Found => {
    const words = new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.length / 2)
    let bits = 0
    for (const word of words) {
      if ((word & exponent) === exponent) return { finite: false, nonZero: true }
      bits |= word
    }
    return { finite: true, nonZero: (bits & 0x7fff) !== 0 }
  }

const scan32 = (bytes: Uint8Array<ArrayBuffer>): Found => {
  const words = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4)
  let bits = 0
  for (const word of words) {
    if ((word & 0x7f800000) === 0x7f800000) return { finite: false, nonZero: true }
    bits |= word
  }
  return { finite: true, nonZero: (bits & 0x7fffffff) !== 0 }
}

const scan: Record<Dtype, (bytes: Uint8Array<ArrayBuffer>) => Found> = {
  F32: scan32,
  F16: scan16(0x7c00),
  BF16: scan16(0x7f80),
}
