import { createHash } from 'node:crypto'
import { request } from 'node:http'
import { adapterDigest } from '@punica/adapter'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Harness, startHarness } from '../testing/harness.ts'
import { config, createUploads, type Upload, weights } from '../testing/uploads.ts'

let harness: Harness
let uploads: ReturnType<typeof createUploads>
let key = ''
let other = ''
beforeAll(async () => {
  harness = await startHarness()
  key = (await harness.createTenant('acme')).admin
  other = (await harness.createTenant('other')).admin
  uploads = createUploads(harness, { tenant: 'acme', key })
})
afterAll(() => harness.stop())

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

test('an upload becomes a version, a record, and bytes in the object store', async () => {
  const upload = await uploads.open('sentiment')
  expect(upload.files.map(({ name }) => name)).toEqual([
    'adapter_config.json',
    'adapter_model.safetensors',
  ])
  for (const { name, url } of upload.files) {
    const body = name === 'adapter_config.json' ? config : weights
    const headers = { authorization: `Bearer ${key}` }
    const response = await fetch(url, { method: 'PUT', headers, body })
    expect(await response.json()).toEqual({ name, digest: sha256(body), sizeBytes: body.length })
  }
  const { version } = await uploads.publish(upload)
  const files = [
    { name: 'adapter_config.json', digest: sha256(config), sizeBytes: config.length },
    { name: 'adapter_model.safetensors', digest: sha256(weights), sizeBytes: weights.length },
  ]
  expect(version).toMatchObject({
    version: 1,
    rank: 32,
    targetModules: ['q_proj', 'v_proj'],
    weight: 1,
  })
  expect(version.digest).toBe(adapterDigest(files))
  expect(await uploads.recordOf('sentiment')).toMatchObject({
    tenant: 'acme',
    name: 'sentiment',
    baseModel: 'demo',
    versions: [{ version: 1, digest: version.digest, rank: 32, files }],
    aliases: [{ name: 'default', targets: [{ version: 1, weight: 1 }] }],
    grants: [],
  })
  expect(await harness.store.head(sha256(weights))).toMatchObject({ sizeBytes: weights.length })

  // The answer may be lost on its way: asking again is harmless.
  expect((await uploads.publish(upload)).version).toEqual(version)
  expect((await uploads.put(upload, 'adapter_config.json', config)).status).toBe(409)
})

test('a new version takes over the bare name; the same bytes are the same version', async () => {
  const first = await uploads.publishFiles('bot')
  expect((await uploads.publishFiles('bot')).version).toEqual(first.version)
  const second = await uploads.publishNth('bot', 1)
  expect(second.version).toMatchObject({ version: 2, weight: 1 })
  expect(await uploads.sharesOf('bot')).toEqual([[2, 1]])
})

test('versions published at once are numbered one after the other', async () => {
  const made = await Promise.all([1, 2, 3].map((n) => uploads.publishNth('race', n)))
  expect(made.map(({ version }) => version.version).sort()).toEqual([1, 2, 3])
  expect(await uploads.sharesOf('race')).toEqual([[3, 1]])
})

test.each([
  [
    'a pickle',
    config,
    Buffer.from([0x80, 2, ...Buffer.alloc(64)]),
    'adapter_invalid',
    'Python pickle',
  ],
  ['a file that is cut off', config, weights.subarray(0, -4), 'adapter_invalid', 'cut off'],
  [
    'DoRA',
    Buffer.from(`${config}`.replace('"use_dora": false', '"use_dora": true')),
    weights,
    'adapter_incompatible',
    'use_dora',
  ],
  [
    'an adapter for another base',
    config,
    withOtherShape(weights),
    'adapter_incompatible',
    'for this base model',
  ],
])('%s is refused and leaves nothing servable', async (_, a, b, code, message) => {
  const result = await uploads.publishFiles('broken', { config: a, weights: b })
  expect(result).toMatchObject({ __typename: 'ProblemError', code })
  expect(result.message).toContain(message)
  expect(await uploads.recordOf('broken')).toBeUndefined()
})

/** q_proj of layer 0 claims another hidden size. The data takes as many bytes as before. */
function withOtherShape(file: Buffer): Buffer {
  const length = Number(file.readBigUInt64LE(0))
  const header = file
    .subarray(8, 8 + length)
    .toString()
    .replace('[32,256]', '[64,128]')
  return Buffer.concat([file.subarray(0, 8), Buffer.from(header), file.subarray(8 + length)])
}

test('an upload without its files cannot be published', async () => {
  const upload = await uploads.open('empty')
  expect(await uploads.publish(upload)).toMatchObject({
    code: 'invalid_request',
    field: 'adapter_config.json',
  })
})

test('a file that is too large is refused, with and without a length', async () => {
  const upload = await uploads.open('large')
  const body = new Uint8Array(64 * 1024 + 1)
  const refused = await uploads.put(upload, 'adapter_config.json', body)
  expect(refused.status).toBe(413)
  expect(await refused.json()).toMatchObject({
    error: { code: 'payload_too_large', param: 'adapter_config.json' },
  })
  const stream = new ReadableStream({
    start(controller) {
      controller.enqueue(body)
      controller.close()
    },
  })
  expect((await uploads.put(upload, 'adapter_config.json', stream)).status).toBe(413)
  expect(await harness.db.uploadedFile.count({ where: { uploadId: upload.id } })).toBe(0)
})

test('an upload that breaks off leaves nothing usable', async () => {
  const upload = await uploads.open('torn')
  await uploads.put(upload, 'adapter_config.json', config)
  await new Promise<void>((resolve) => {
    const url = `${harness.url}/uploads/${upload.id}/adapter_model.safetensors`
    const headers = { authorization: `Bearer ${key}`, 'content-length': weights.length }
    const sending = request(url, { method: 'PUT', headers })
    sending.on('error', () => resolve())
    sending.write(weights.subarray(0, 100_000), async () => {
      // Not before the service has begun to take it, or it could overtake the one that follows.
      const method = 'HEAD'
      const auth = { authorization: `Bearer ${key}` }
      for (let length = null; length !== `${weights.length}`; ) {
        length = (await fetch(url, { method, headers: auth })).headers.get('upload-length')
      }
      sending.destroy()
    })
  })
  expect(await uploads.publish(upload)).toMatchObject({ field: 'adapter_model.safetensors' })
  expect((await uploads.put(upload, 'adapter_model.safetensors', weights)).status).toBe(200)
  expect((await uploads.publish(upload)).version.version).toBe(1)
})

test.each([
  [
    'a file name that is not one',
    async (upload: Upload) => uploads.put(upload, 'pytorch_model.bin', config),
    404,
  ],
  ['a path', async (upload: Upload) => uploads.put(upload, '..%2f..%2fetc%2fpasswd', config), 404],
  [
    'an upload that is not there',
    async (upload: Upload) => uploads.put({ ...upload, id: '0' }, 'adapter_config.json', config),
    404,
  ],
  [
    'a key of another tenant',
    async (upload: Upload) =>
      uploads.put(upload, 'adapter_config.json', config, { authorization: `Bearer ${other}` }),
    404,
  ],
  [
    'no key',
    async (upload: Upload) =>
      uploads.put(upload, 'adapter_config.json', config, { authorization: '' }),
    401,
  ],
])('%s is refused', async (_, send, status) => {
  const response = await send(await uploads.open('refused'))
  expect(response.status).toBe(status)
  expect(await response.json()).toMatchObject({ error: { code: expect.any(String) } })
})

test('an expired upload takes and publishes nothing', async () => {
  const upload = await uploads.open('late')
  await uploads.put(upload, 'adapter_config.json', config)
  await uploads.put(upload, 'adapter_model.safetensors', weights)
  const expiresAt = new Date(Date.now() - 1)
  await harness.db.adapterUpload.update({ where: { id: upload.id }, data: { expiresAt } })
  expect((await uploads.put(upload, 'adapter_config.json', config)).status).toBe(409)
  expect(await uploads.publish(upload)).toMatchObject({ code: 'conflict' })
})

test.each([
  [{ name: 'Bad Name' }, 'invalid_request', 'name'],
  [{ name: 'demo' }, 'conflict', 'name'],
  [{ baseModel: 'none' }, 'not_found', 'baseModel'],
])('createAdapterUpload refuses %j', async (changes, code, field) => {
  const input = { tenant: 'acme', name: 'x', baseModel: 'demo', ...changes }
  const result = await harness.mutate('createAdapterUpload', input, 'upload { id }', key)
  expect(result).toMatchObject({ code, field })
})

test('a grant shows in the record, lets the other tenant look, and can be taken back', async () => {
  await uploads.publishFiles('shared')
  const input = { tenant: 'acme', name: 'shared', to: 'other' }
  const seen = async () => {
    const query =
      '{ adapter(tenant: "acme", name: "shared") { name versions { version } tenant { slug } } }'
    return (await harness.graphql(query, {}, other)).data?.adapter
  }
  expect(await seen()).toBeNull()
  for (let i = 0; i < 2; i++) {
    const { adapter } = await harness.mutate(
      'grantAdapter',
      input,
      'adapter { grants { slug } }',
      key,
    )
    expect(adapter.grants).toEqual([{ slug: 'other' }])
  }
  expect((await uploads.recordOf('shared'))?.grants).toEqual(['other'])
  expect(await seen()).toEqual({
    name: 'shared',
    versions: [{ version: 1 }],
    tenant: { slug: 'acme' },
  })
  const nosy = '{ adapter(tenant: "acme", name: "shared") { tenant { apiKeys { totalCount } } } }'
  expect((await harness.graphql(nosy, {}, other)).errors?.[0]?.extensions.code).toBe('forbidden')
  await harness.mutate('revokeAdapterGrant', input, 'adapter { id }', key)
  expect((await uploads.recordOf('shared'))?.grants).toEqual([])
  expect(await seen()).toBeNull()
})

test('a tenant has a bounded number of open uploads', async () => {
  const { admin } = await harness.createTenant('eager')
  const { id: tenantId } = await harness.db.tenant.findUniqueOrThrow({ where: { slug: 'eager' } })
  const upload = { tenantId, name: 'bot', baseModelName: 'demo' }
  const expiresAt = new Date(Date.now() + 60_000)
  await harness.db.adapterUpload.createMany({ data: Array(64).fill({ ...upload, expiresAt }) })
  const input = { tenant: 'eager', name: 'bot', baseModel: 'demo' }
  const open = () => harness.mutate('createAdapterUpload', input, 'upload { id }', admin)
  expect(await open()).toMatchObject({ code: 'quota_exceeded' })
  await harness.db.adapterUpload.updateMany({
    where: { tenantId },
    data: { expiresAt: new Date(0) },
  })
  expect(await open()).toMatchObject({ upload: { id: expect.any(String) } })
})

test('an adapter has a bounded number of versions', async () => {
  const { version } = await uploads.publishFiles('many')
  const { adapterId } = await harness.db.adapterVersion.findUniqueOrThrow({
    where: { id: version.id },
  })
  const other = { adapterId, digest: 'a'.repeat(64), rank: 8, numTensors: 1, sizeBytes: 1 }
  const versions = Array.from({ length: 63 }, (_, i) => ({ ...other, version: i + 2 }))
  await harness.db.adapterVersion.createMany({ data: versions })
  const publish = () => uploads.publishNth('many', 1)
  expect(await publish()).toMatchObject({
    code: 'conflict',
    message: expect.stringContaining('64 versions'),
  })
  const input = { tenant: 'acme', name: 'many', version: 64 }
  await harness.mutate('archiveAdapterVersion', input, 'version { archivedAt }', key)
  expect((await publish()).version.version).toBe(65)
})
