import { createHash, randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { ObjectStore } from './object-store.ts'

export type Made = {
  store: ObjectStore
  /**
   * Begins a put of these bytes as a writer that dies before its end; absent where a put cannot
   * outlive its process. `left` counts what such writers have left.
   */
  orphans?: { leave(data: Uint8Array): Promise<void>; left(): Promise<number> }
  close(): Promise<void>
}

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
      const { sizeBytes, storedAtMs } = (await store.head(digest)) ?? {}
      expect(sizeBytes).toBe(size)
      // The store may have a clock of its own.
      expect(Math.abs(Date.now() - (storedAtMs ?? 0))).toBeLessThan(60_000)
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

    it('sweeps what dead writers left, and neither objects nor what goes on', async () => {
      const data = randomBytes(2_000_000)
      await made.orphans?.leave(data.subarray(0, 1_500_000))
      const kept = await store.put(inParts(randomBytes(2_000_000)), { maxBytes })
      expect(await store.sweep({ idleMs: 60_000 })).toBe(0)
      let sweep = Promise.resolve(0)
      async function* slow(): AsyncGenerator<Uint8Array> {
        yield data.subarray(0, 1_000_000)
        sweep = store.sweep({ idleMs: 60_000 })
        await sweep
        yield data.subarray(1_000_000)
      }
      await store.put(slow(), { maxBytes })
      expect(await sweep).toBe(0)

      expect(await store.sweep({ idleMs: 0 })).toBe(made.orphans === undefined ? 0 : 1)
      expect((await made.orphans?.left()) ?? 0).toBe(0)
      expect(Buffer.compare(await collectBytes(store.get(sha256(data))), data)).toBe(0)
      expect((await collectBytes(store.get(kept.digest))).length).toBe(2_000_000)
    })

    it('lists what there is, each once', async () => {
      const [kept, gone] = [randomBytes(1000), randomBytes(1000)]
      for (const data of [kept, gone, kept]) await store.put(inParts(data), { maxBytes })
      await store.delete(sha256(gone))
      const listed: string[] = []
      for await (const digest of store.list()) listed.push(digest)
      expect(new Set(listed).size).toBe(listed.length)
      expect(listed).toContain(sha256(kept))
      expect(listed).not.toContain(sha256(gone))
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
