import { AppError } from '@punica/schema'

/** Reads a stream front to back in pieces of the reader's choosing, holding one chunk at most. */
export type ByteReader = {
  /** Exactly `length` bytes. Rejects with `adapter_invalid` when the stream ends before. */
  read(length: number): Promise<Uint8Array>
  /**
   * The next `length` bytes in pieces as they come, each but the last a multiple of 4 bytes long
   * and all beginning at a multiple of 4 in memory, so that they can be viewed as numbers.
   */
  pieces(length: number): AsyncGenerator<Uint8Array<ArrayBuffer>>
}

const endsEarly = (): AppError =>
  new AppError('adapter_invalid', 'adapter_model.safetensors: ends before its last tensor')

export const createByteReader = (source: AsyncIterable<Uint8Array>): ByteReader => {
  const iterator = source[Symbol.asyncIterator]()
  let chunk: Uint8Array = new Uint8Array(0)

  /** At least one byte and at most `length`. */
  const take = async (length: number): Promise<Uint8Array> => {
    while (chunk.length === 0) {
      const next = await iterator.next()
      if (next.done) throw endsEarly()
      // A plain view: the slice() of a Buffer would not copy.
      chunk = new Uint8Array(next.value.buffer, next.value.byteOffset, next.value.length)
    }
    const taken = chunk.subarray(0, length)
    chunk = chunk.subarray(taken.length)
    return taken
  }

  const read = async (length: number): Promise<Uint8Array<ArrayBuffer>> => {
    const bytes = new Uint8Array(length)
    for (let at = 0; at < length; ) {
      const taken = await take(length - at)
      bytes.set(taken, at)
      at += taken.length
    }
    return bytes
  }

  return {
    read,
    pieces: async function* (length) {
      for (let left = length; left > 0; ) {
        const available = chunk.length === 0 ? 0 : Math.min(chunk.length, left)
        const whole = available - (available % 4)
        if (available === left || whole > 0) {
          const piece = await take(available === left ? left : whole)
          left -= piece.length
          yield piece.slice()
          continue
        }
        // The chunk ends inside of four bytes (or is used up): read over its end.
        const few = await read(Math.min(4, left))
        left -= few.length
        yield few
      }
    },
  }
}
