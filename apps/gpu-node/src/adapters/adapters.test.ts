import { EngineError } from '@punica/native-sgmv'
import { expect, test } from 'vitest'
import { createFakeEngine } from '../testing/fake-engine.ts'
import { storedAdapter } from '../testing/fixtures.ts'
import { createAdapters } from './adapters.ts'
import type { DiskCache } from './disk-cache.ts'

const a = storedAdapter('a').ref
const b = storedAdapter('b').ref
const c = storedAdapter('c').ref

const start = () => {
  const fake = createFakeEngine({ hostAdapters: 2 })
  const removed: string[] = []
  const disk: Pick<DiskCache, 'withFolder' | 'remove'> = {
    withFolder: ({ digest }, work) => work(`/disk/${digest}`),
    remove: async (digest) => {
      removed.push(digest)
    },
  }
  return {
    ...fake,
    removed,
    adapters: createAdapters({ engine: fake.engine, disk }),
    host: fake.adapters,
  }
}

test('an adapter is loaded once and held by each', async () => {
  const { adapters, host } = start()
  expect(adapters.tryAcquire(a.digest)).toBe(null)
  expect(await Promise.all([adapters.acquire(a), adapters.acquire(a)])).toEqual([1, 1])
  expect(adapters.tryAcquire(a.digest)).toBe(1)
  expect(adapters.list()).toEqual([{ digest: a.digest, handle: 1, numHolders: 3 }])
  expect(host.size).toBe(1)
})

test('the least recently used that nobody holds is unloaded for another', async () => {
  const { adapters, host } = start()
  await adapters.acquire(a)
  await adapters.acquire(b)
  adapters.release(a.digest)
  adapters.release(b.digest)
  adapters.tryAcquire(a.digest)
  await adapters.acquire(c)
  expect([...host.values()]).toEqual([`/disk/${a.digest}`, `/disk/${c.digest}`])
})

test('where all are held, another is refused and they stay', async () => {
  const { adapters, host } = start()
  await adapters.acquire(a)
  await adapters.acquire(b)
  await expect(adapters.acquire(c)).rejects.toMatchObject({ code: 'overloaded' })
  expect(host.size).toBe(2)
  adapters.release(a.digest)
  expect(await adapters.acquire(c)).toBe(3)
})

test('a broken adapter fails for all who wait, is removed from disk, and may be tried again', async () => {
  const { adapters, hooks, removed } = start()
  hooks.load = async () => {
    throw new EngineError('adapter_invalid', 'lora_B of layer 3 is missing')
  }
  const results = await Promise.allSettled([adapters.acquire(a), adapters.acquire(a)])
  expect(results.map(({ status }) => status)).toEqual(['rejected', 'rejected'])
  expect(removed).toEqual([a.digest])
  hooks.load = async () => {}
  expect(await adapters.acquire(a)).toBe(1)
})
