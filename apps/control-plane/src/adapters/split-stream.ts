/** A stream that is read in parts, each of them a stream that must be read to its end. */
export type SplitStream = {
  /** Whether the stream has ended; reads on until that is known. */
  isDone(): Promise<boolean>
  /** The next `size` bytes, or what there is before the end. */
  take(size: number): AsyncGenerator<Uint8Array>
}

/** Holds one chunk of the source at most. */
export const splitStream = (source: AsyncIterable<Uint8Array>): SplitStream => {
  const iterator = source[Symbol.asyncIterator]()
  let chunk: Uint8Array = new Uint8Array(0)

  const isDone = async (): Promise<boolean> => {
    while (chunk.length === 0) {
      const next = await iterator.next()
      if (next.done) return true
      chunk = next.value
    }
    return false
  }

  return {
    isDone,
    async *take(size) {
      for (let left = size; left > 0 && !(await isDone()); ) {
        const piece = chunk.subarray(0, left)
        chunk = chunk.subarray(piece.length)
        left -= piece.length
        yield piece
      }
    },
  }
}
