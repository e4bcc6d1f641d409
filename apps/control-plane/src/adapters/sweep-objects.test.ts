import { channels } from '@punica/schema'
import { pino } from '@punica/service'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createInventory } from '../nodes/inventory.ts'
import { type Harness, startHarness } from '../testing/harness.ts'
import { nodeStatus } from '../testing/node-status.ts'
import { createUploads } from '../testing/uploads.ts'
import { collectObjects, holdObjects } from './hold-objects.ts'
import { sweepObjects } from './sweep-objects.ts'

let harness: Harness
let uploads: ReturnType<typeof createUploads>
let key = ''
beforeAll(async () => {
  harness = await startHarness()
  key = (await harness.createTenant('acme')).admin
  uploads = createUploads(harness, { tenant: 'acme', key })
})
afterAll(() => harness.stop())

const hourMs = 3600_000
const inventory = createInventory()

/** A sweep for which every object is as old as is said. */
const sweep = ({ ageMs }: { ageMs: number }): Promise<void> => {
  const { db, store } = harness
  const head: typeof store.head = async (digest) => {
    const found = await store.head(digest)
    return found && { ...found, storedAtMs: Date.now() - ageMs }
  }
  const log = pino({ level: 'silent' })
  return sweepObjects({ db, store: { ...store, head }, inventory, log })
}

const put = async (text: string): Promise<string> => {
  const source = (async function* () {
    yield new TextEncoder().encode(text)
  })()
  return (await harness.store.put(source, { maxBytes: 1_000 })).digest
}

const isThere = async (digest: string): Promise<boolean> =>
  (await harness.store.head(digest)) !== null

test('what nothing refers to goes when it is old, and nothing else', async () => {
  const { version } = await uploads.publishFiles('kept')
  const opened = await uploads.open('open')
  const response = await uploads.put(opened, 'adapter_config.json', Buffer.from('{"open": 1}'))
  const { digest: open } = await response.json()
  const forgotten = await put('a writer that died before it said so')
  await sweep({ ageMs: hourMs / 2 })
  expect(await isThere(forgotten)).toBe(true)
  await sweep({ ageMs: 2 * hourMs })
  expect(await isThere(forgotten)).toBe(false)
  expect(await isThere(open)).toBe(true)
  const files = await harness.db.adapterFile.findMany({ where: { versionId: version.id } })
  for (const { digest } of files) expect(await isThere(digest)).toBe(true)
})

test('the files of an archived version stay for a day, and while a request runs on it', async () => {
  const { version } = await uploads.publishNth('old', 1)
  await uploads.publishNth('old', 2)
  const files = await harness.db.adapterFile.findMany({ where: { versionId: version.id } })
  const own = files.find(({ name }) => name === 'adapter_config.json')?.digest ?? ''
  const shared = files.find(({ name }) => name === 'adapter_model.safetensors')?.digest ?? ''
  const input = { tenant: 'acme', name: 'old', version: 1 }
  await harness.mutate('archiveAdapterVersion', input, 'version { archivedAt }', key)
  await sweep({ ageMs: 2 * hourMs })
  expect(await isThere(own)).toBe(true)

  const archivedAt = new Date(Date.now() - 25 * hourMs)
  await harness.db.adapterVersion.update({ where: { id: version.id }, data: { archivedAt } })
  const requests = [{ requestId: 'r', attempt: 0, tenant: 'acme', adapterDigest: version.digest }]
  const report = (changes: object): void => {
    const event = { type: 'status' as const, status: nodeStatus('runner', changes) }
    inventory.handle(channels.nodeEvents('default').schema.parse(event), Date.now())
  }
  report({ requests })
  await sweep({ ageMs: 2 * hourMs })
  expect(await isThere(own)).toBe(true)
  report({ requests: [] })
  await sweep({ ageMs: 2 * hourMs })
  expect(await isThere(own)).toBe(false)
  // The other version has the same weights.
  expect(await isThere(shared)).toBe(true)
})

test('an object that is about to be referred to is not removed, or its going is noticed', async () => {
  const digest = await put('held')
  const { db, store } = harness
  const opened = await uploads.open('holder')
  const file = { uploadId: opened.id, name: 'adapter_config.json', digest, sizeBytes: 4 }
  let collecting = Promise.resolve(0)
  await db.$transaction(async (tx) => {
    await holdObjects(tx, store, [digest])
    collecting = collectObjects({ db, store }, [digest])
    // Which now waits for this transaction.
    const waiting = async () =>
      (
        await db.$queryRaw<
          unknown[]
        >`SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted`
      ).length
    await expect.poll(waiting).toBe(1)
    await tx.uploadedFile.create({ data: file })
  })
  expect(await collecting).toBe(0)
  expect(await isThere(digest)).toBe(true)

  await db.uploadedFile.deleteMany({ where: { uploadId: opened.id } })
  expect(await collectObjects({ db, store }, [digest, digest])).toBe(1)
  const late = db.$transaction((tx) => holdObjects(tx, store, [digest]))
  await expect(late).rejects.toMatchObject({ code: 'unavailable' })
})
