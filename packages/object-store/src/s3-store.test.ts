import { createHash, randomBytes } from 'node:crypto'
import {
  CreateMultipartUploadCommand,
  PutObjectCommand,
  S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { openObjectStore } from './open.ts'
import { s3ObjectStore } from './s3-store.ts'
import { storeContract } from './store-contract.ts'
import { credentials, startTestS3, type TestS3 } from './testing-s3.ts'

beforeAll(() => {
  vi.stubEnv('AWS_ACCESS_KEY_ID', credentials.accessKeyId)
  vi.stubEnv('AWS_SECRET_ACCESS_KEY', credentials.secretAccessKey)
})
afterAll(() => {
  vi.unstubAllEnvs()
})

const urlOf = (server: TestS3): string => `s3://bucket/punica?endpoint=${server.url}`

storeContract('s3ObjectStore', async () => {
  const server = await startTestS3()
  const store = s3ObjectStore(urlOf(server))
  const client = new S3Client({ endpoint: server.url, region: 'us-east-1', forcePathStyle: true })
  const at = (key: string) => ({ Bucket: 'bucket', Key: `punica/staging/${key}` })
  return {
    store,
    orphans: {
      async leave(data) {
        const { UploadId } = await client.send(new CreateMultipartUploadCommand(at('dead')))
        const part = { ...at('dead'), UploadId, PartNumber: 1, Body: data }
        await client.send(new UploadPartCommand(part))
      },
      left: async () => server.uploads.size,
    },
    async close() {
      store.close()
      client.destroy()
      await server.stop()
    },
  }
})

describe('s3ObjectStore', () => {
  let server: TestS3
  let store: ReturnType<typeof s3ObjectStore>
  beforeAll(async () => {
    server = await startTestS3()
    store = s3ObjectStore(urlOf(server))
  })
  afterEach(() => {
    server.objects.clear()
    server.uploads.clear()
  })
  afterAll(async () => {
    store.close()
    await server.stop()
  })

  const data = randomBytes(20_000_000)
  const digest = createHash('sha256').update(data).digest('hex')
  async function* inParts(upTo = data.length): AsyncGenerator<Uint8Array> {
    for (let at = 0; at < upTo; at += 100_000) yield data.subarray(at, at + 100_000)
  }
  const maxBytes = data.length

  it('brings large content in by parts, and leaves it in its place alone', async () => {
    expect(await store.put(inParts(), { maxBytes })).toEqual({ digest, sizeBytes: data.length })
    expect([...server.objects.keys()]).toEqual([`bucket/punica/objects/${digest}`])
    expect(server.uploads.size).toBe(0)
    const read: Uint8Array[] = []
    for await (const chunk of store.get(digest)) read.push(chunk)
    expect(Buffer.compare(Buffer.concat(read), data)).toBe(0)
  })

  it('leaves nothing of large content that is refused', async () => {
    const put = store.put(inParts(), { maxBytes, digest: '0'.repeat(64) })
    await expect(put).rejects.toMatchObject({ code: 'invalid_request', param: 'digest' })
    expect([server.objects.size, server.uploads.size]).toEqual([0, 0])
  })

  it('sweeps what was complete and never got to its place, in pages', async () => {
    const client = new S3Client({ endpoint: server.url, region: 'us-east-1', forcePathStyle: true })
    for (let i = 0; i < 5; i++) {
      const at = { Bucket: 'bucket', Key: `punica/staging/${i}` }
      await client.send(new PutObjectCommand({ ...at, Body: 'x' }))
      await client.send(new CreateMultipartUploadCommand({ ...at, Key: `punica/staging/u${i}` }))
    }
    expect(await store.sweep({ idleMs: 60_000 })).toBe(0)
    expect(await store.sweep({ idleMs: -1_000 })).toBe(10)
    expect([server.objects.size, server.uploads.size]).toEqual([0, 0])
    client.destroy()
  })

  it('gets over a failure, and says when S3 is away', async () => {
    server.fail(1)
    expect(await store.head(digest)).toBeNull()
    server.fail(3)
    await expect(store.head(digest)).rejects.toMatchObject({ code: 'unavailable' })
  })

  it('says so when the credentials are wrong', async () => {
    vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'another')
    const other = s3ObjectStore(urlOf(server))
    await expect(other.head(digest)).rejects.toMatchObject({ code: 'unavailable' })
    other.close()
    vi.stubEnv('AWS_SECRET_ACCESS_KEY', credentials.secretAccessKey)
  })

  it('notices damage', async () => {
    await store.put(inParts(), { maxBytes })
    const stored = server.objects.get(`bucket/punica/objects/${digest}`)
    stored?.data.writeUInt8((stored.data[0] ?? 0) ^ 1, 0)
    const read = async () => {
      for await (const _ of store.get(digest));
    }
    await expect(read()).rejects.toMatchObject({ code: 'internal' })
  })

  it.each(['http://bucket/x', 's3:///prefix'])('refuses the URL %s', (url) => {
    expect(() => s3ObjectStore(url)).toThrow('s3://bucket/prefix')
  })

  it('is what a URL opens', async () => {
    const opened = await openObjectStore(urlOf(server), () => Promise.reject(new Error('NATS')))
    expect(await opened.head(digest)).toBeNull()
    await opened.close()
  })
})
