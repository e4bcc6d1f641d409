import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { createFakeSource, storedAdapter } from '../testing/fixtures.ts'
import { openDiskCache } from './disk-cache.ts'

let folder = ''
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'punica-disk-cache-'))
})
afterEach(() => rm(folder, { recursive: true }))

const a = storedAdapter('a')
const b = storedAdapter('b')
const c = storedAdapter('c')
/** Each adapter has 112 bytes: two fit. */
const maxBytes = 250

const digests = (cache: { list(): { digest: string }[] }) => cache.list().map((x) => x.digest)

test('an adapter is fetched once, whoever asks, and lies under its digest', async () => {
  const source = createFakeSource(a)
  const cache = await openDiskCache({ folder, maxBytes, source })
  const read = () =>
    cache.withFolder(a.ref, (path) => readFile(join(path, 'adapter_config.json'), 'utf8'))
  expect(await Promise.all([read(), read(), read()])).toEqual(Array(3).fill('{"name":"a"}'))
  expect(await read()).toBe('{"name":"a"}')
  expect(source.asked).toHaveLength(2)
  expect(await readdir(folder)).toEqual([a.ref.digest])
})

test('the least recently used goes when there is no room', async () => {
  const cache = await openDiskCache({ folder, maxBytes, source: createFakeSource(a, b, c) })
  const use = (ref: typeof a.ref) => cache.withFolder(ref, async () => {})
  await use(a.ref)
  await use(b.ref)
  await use(a.ref)
  await use(c.ref)
  expect(digests(cache)).toEqual([a.ref.digest, c.ref.digest])
  expect((await readdir(folder)).sort()).toEqual([a.ref.digest, c.ref.digest].sort())
})

test('what is in use stays, and one that does not fit beside it is refused', async () => {
  const cache = await openDiskCache({ folder, maxBytes: 150, source: createFakeSource(a, b) })
  await cache.withFolder(a.ref, async (path) => {
    await expect(cache.withFolder(b.ref, async () => {})).rejects.toMatchObject({
      code: 'overloaded',
    })
    await cache.remove(a.ref.digest)
    expect(await readdir(path)).toHaveLength(2)
  })
  await cache.withFolder(b.ref, async () => {})
  expect(digests(cache)).toEqual([b.ref.digest])
})

test.each([
  [
    'is missing',
    (source: ReturnType<typeof createFakeSource>, digest: string) => source.contents.delete(digest),
  ],
  [
    'is too long',
    (source: ReturnType<typeof createFakeSource>, digest: string) =>
      source.contents.set(digest, 'x'.repeat(500)),
  ],
  [
    'is too short',
    (source: ReturnType<typeof createFakeSource>, digest: string) =>
      source.contents.set(digest, 'x'),
  ],
])('a file that %s leaves nothing behind, and is asked for again', async (_, spoil) => {
  const source = createFakeSource(a)
  const weights = a.ref.files[1]?.digest ?? ''
  const good = source.contents.get(weights) ?? ''
  spoil(source, weights)
  const cache = await openDiskCache({ folder, maxBytes, source })
  const use = () => cache.withFolder(a.ref, async () => 'used')
  await expect(use()).rejects.toMatchObject({ code: 'unavailable' })
  expect(await readdir(folder)).toEqual([])
  expect(cache.list()).toEqual([])
  source.contents.set(weights, good)
  expect(await use()).toBe('used')
})

test('a new process finds what was there and throws away what is unfinished', async () => {
  const source = createFakeSource(a, b)
  const before = await openDiskCache({ folder, maxBytes, source })
  await before.withFolder(a.ref, async () => {})
  await mkdir(join(folder, '.partial-1'))
  await writeFile(join(folder, '.partial-1', 'adapter_config.json'), '{}')
  await writeFile(join(folder, 'notes.txt'), 'not an adapter')
  const after = await openDiskCache({ folder, maxBytes, source })
  expect(after.list()).toEqual([{ digest: a.ref.digest, sizeBytes: 112 }])
  await after.withFolder(a.ref, async () => {})
  expect(source.asked).toHaveLength(2)
  expect((await readdir(folder)).sort()).toEqual([a.ref.digest, 'notes.txt'].sort())
})

test('what was removed is fetched again', async () => {
  const source = createFakeSource(a)
  const cache = await openDiskCache({ folder, maxBytes, source })
  await cache.withFolder(a.ref, async () => {})
  const removal = cache.remove(a.ref.digest)
  await cache.withFolder(a.ref, async (path) => {
    expect(await readdir(path)).toHaveLength(2)
  })
  await removal
  expect(source.asked).toHaveLength(4)
})
