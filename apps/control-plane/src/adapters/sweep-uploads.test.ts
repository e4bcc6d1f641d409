import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Harness, startHarness } from '../testing/harness.ts'
import { sweepUploads } from './sweep-uploads.ts'

let harness: Harness
beforeAll(async () => {
  harness = await startHarness()
  await harness.createTenant('acme')
})
afterAll(() => harness.stop())

const addUpload = async (text: string, expiresInMs: number): Promise<string> => {
  const source = (async function* () {
    yield new TextEncoder().encode(text)
  })()
  const { digest, sizeBytes } = await harness.store.put(source, { maxBytes: 100 })
  const tenant = await harness.db.tenant.findUniqueOrThrow({ where: { slug: 'acme' } })
  await harness.db.adapterUpload.create({
    data: {
      tenantId: tenant.id,
      name: 'bot',
      baseModelName: 'demo',
      expiresAt: new Date(Date.now() + expiresInMs),
      files: { create: { name: 'adapter_config.json', digest, sizeBytes } },
    },
  })
  return digest
}

test('uploads that expired go, with the bytes that nobody else has', async () => {
  const hourMs = 3600_000
  const gone = await addUpload('gone', -2 * hourMs)
  const shared = await addUpload('shared', -2 * hourMs)
  await addUpload('shared', hourMs)
  const recent = await addUpload('recent', -hourMs / 2)
  await sweepUploads(harness)
  expect(await harness.db.adapterUpload.count()).toBe(2)
  expect(await harness.store.head(gone)).toBeNull()
  expect(await harness.store.head(shared)).not.toBeNull()
  expect(await harness.store.head(recent)).not.toBeNull()
})
