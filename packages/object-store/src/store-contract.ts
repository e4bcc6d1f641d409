import { createHash, randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { ObjectStore } from './object-store.ts'

export type Made = { store: ObjectStore; close(): Promise<void> }

const sha256 = (data: Uint8Array): string => createHash('sha256').update(data).digest('hex')

/** Parts of uneven sizes, as a network would deliver them. */
async function* inParts(data: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let from = 0, size = 1; from < data.length; from += size, size = (size * 7) % 65_537) {
    yield data.subarray(from, from + size)
  }
}

const collectBytes = async (source: AsyncIterable<Uint8Array>): Promise<Buffer> => {
  const parts: Uint8Array[] = []
  for await (const part of source) parts.push(part)
  return Buffer.concat(parts)
}

/** What every object store does. */
export const storeContract = (name: string, make: () => Promise<Made>): void => {
  describe(`${name} as an object store`, () => {
    let made: Made
    let store: ObjectStore
    const maxBytes = 16 * 1024 ** 2

    beforeAll(async () => {
      made = await make()
      store = made.store
    })
    afterAll(() => made.close())

    it.each([0, 1, 1000, 262_144, 262_145, 5_000_000])('gives back %i bytes', async (size) => {
      const data = randomBytes(size)
      const digest = sha256(data)
      expect(await store.put(inParts(data), { maxBytes })).toEqual({ digest, sizeBytes: size })
      expect(await store.head(digest)).toEqual({ sizeBytes: size })
      expect(Buffer.compare(await collectBytes(store.get(digest)), data)).toBe(0)
    })

    it('does not know what it was not given', async () => {
      const digest = sha256(Buffer.from('unknown'))
      expect(await store.head(digest)).toBeNull()
      await store.delete(digest)
      await expect(collectBytes(store.get(digest))).rejects.toMatchObject({ code: 'not_found' })
    })

    it('stops reading at the bound and keeps nothing', async () => {
      const data = randomBytes(3_000_000)
      let numRead = 0
      async function* source(): AsyncGenerator<Uint8Array> {
        for await (const part of inParts(data)) {
          numRead += part.length
          yield part
        }
      }
      const put = store.put(source(), { maxBytes: 1_000_000 })
      await expect(put).rejects.toMatchObject({ code: 'payload_too_large' })
      expect(numRead).toBeLessThan(1_100_000)
      expect(await store.head(sha256(data))).toBeNull()
    })

    it('takes exactly the bound', async () => {
      const data = randomBytes(1000)
      expect(await store.put(inParts(data), { maxBytes: 1000 })).toMatchObject({ sizeBytes: 1000 })
    })

    it('refuses content of another digest, known or not', async () => {
      const data = randomBytes(300_000)
      const known = await store.put(inParts(randomBytes(300_000)), { maxBytes })
      for (const digest of [sha256(Buffer.from('other')), known.digest]) {
        const put = store.put(inParts(data), { maxBytes, digest })
        await expect(put).rejects.toMatchObject({ code: 'invalid_request', param: 'digest' })
      }
      expect(await store.head(sha256(data))).toBeNull()
    })

    it('keeps nothing of a source that fails', async () => {
      const data = randomBytes(1_000_000)
      async function* source(): AsyncGenerator<Uint8Array> {
        yield data.subarray(0, 900_000)
        throw new Error('the client went away')
      }
      await expect(store.put(source(), { maxBytes })).rejects.toThrow('the client went away')
      expect(await store.head(sha256(data))).toBeNull()
    })

    it('takes the same content twice, also at the same time', async () => {
      const data = randomBytes(1_000_000)
      const digest = sha256(data)
      const stored = { digest, sizeBytes: data.length }
      const put = () => store.put(inParts(data), { maxBytes })
      expect(await Promise.all([put(), put(), put()])).toEqual([stored, stored, stored])
      expect(await store.put(inParts(data), { maxBytes, digest })).toEqual(stored)
      expect(Buffer.compare(await collectBytes(store.get(digest)), data)).toBe(0)
    })

    it('forgets what is deleted and takes it again', async () => {
      const data = randomBytes(600_000)
      const { digest } = await store.put(inParts(data), { maxBytes })
      await store.delete(digest)
      expect(await store.head(digest)).toBeNull()
      await expect(collectBytes(store.get(digest))).rejects.toMatchObject({ code: 'not_found' })
      await store.put(inParts(data), { maxBytes })
      expect(Buffer.compare(await collectBytes(store.get(digest)), data)).toBe(0)
    })

    it('lets a reader stop early', async () => {
      const { digest } = await store.put(inParts(randomBytes(3_000_000)), { maxBytes })
      for await (const part of store.get(digest)) {
        expect(part.length).toBeGreaterThan(0)
        break
      }
    })
  })
}
