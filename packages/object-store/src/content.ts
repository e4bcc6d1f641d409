import { createHash } from 'node:crypto'
import { AppError } from '@punica/schema'
import type { PutOptions, StoredObject } from './object-store.ts'

/** Counts and hashes what passes through it, and stops at the bound. */
export type Meter = {
  pass(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array>
  /** What has passed; throws AppError `invalid_request` where another digest was expected. */
  finish(): StoredObject
}

export const createMeter = ({ maxBytes, digest: expected }: PutOptions): Meter => {
  const hash = createHash('sha256')
  let sizeBytes = 0
  return {
    async *pass(source) {
      for await (const chunk of source) {
        sizeBytes += chunk.length
        if (sizeBytes > maxBytes) {
          const message = `The content has more than the ${maxBytes} bytes allowed for it`
          throw new AppError('payload_too_large', message)
        }
        hash.update(chunk)
        yield chunk
      }
    },
    finish() {
      const digest = hash.digest('hex')
      if (expected !== undefined && digest !== expected) {
        const message = `The content has the sha256 ${digest}, not ${expected} as was said`
        throw new AppError('invalid_request', message, { param: 'digest' })
      }
      return { digest, sizeBytes }
    },
  }
}

/** The same bytes in chunks of `size`; only the last may be shorter, and none is empty. */
export async function* rechunk(
  source: AsyncIterable<Uint8Array>,
  size: number,
): AsyncGenerator<Uint8Array> {
  let chunk = Buffer.allocUnsafe(size)
  let length = 0
  for await (const part of source) {
    for (let from = 0; from < part.length; ) {
      const count = Math.min(size - length, part.length - from)
      chunk.set(part.subarray(from, from + count), length)
      from += count
      length += count
      if (length < size) continue
      yield chunk
      chunk = Buffer.allocUnsafe(size)
      length = 0
    }
  }
  if (length > 0) yield chunk.subarray(0, length)
}

export const notFound = (digest: string): AppError =>
  new AppError('not_found', `There is no object ${digest} in the store`)

export const damaged = (digest: string): AppError =>
  new AppError('internal', `The stored bytes of ${digest} are damaged`)
