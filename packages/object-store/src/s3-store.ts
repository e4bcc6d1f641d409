import { createHash, randomUUID } from 'node:crypto'
import {
  CopyObjectCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  PutObjectCommand,
  paginateListObjectsV2,
  S3Client,
} from '@aws-sdk/client-s3'
import { Digest } from '@punica/schema'
import { createMeter, damaged, notFound, rechunk } from './content.ts'
import type { ObjectStore, StoredObject } from './object-store.ts'
import { orBrokenOff, orNull, orUnavailable } from './s3-failures.ts'
import { type Place, sweepMultipart, writeMultipart } from './s3-multipart.ts'

/** A whole object up to this size, and each part of a larger one, is held in memory once. */
const PART_BYTES = 8 * 1024 ** 2
const REQUEST_TIMEOUT_MS = 60_000

/**
 * Objects in a bucket of S3 or what speaks like it, at `objects/<digest>` below the prefix. What is
 * larger than one part comes in as a multipart upload under `staging/`, since its digest is known
 * only at its end, and is copied to its place within S3. Credentials are found as the SDK does: in
 * AWS_ACCESS_KEY_ID and its kin, or where the machine keeps them.
 *
 * `url` is `s3://bucket/prefix`, with `?endpoint=http://host:port` for another server than Amazon's
 * (addressed by path, as MinIO wants it) and `&region=`. Throws TypeError for another form.
 */
export const s3ObjectStore = (url: string): ObjectStore & { close(): void } => {
  const { client, bucket, prefix } = openClient(url)
  const keyOf = (digest: string): string => `${prefix}objects/${digest}`
  const staging = `${prefix}staging/`

  const head: ObjectStore['head'] = async (digest) => {
    const found = await orNull(
      client.send(new HeadObjectCommand({ Bucket: bucket, Key: keyOf(digest) })),
    )
    if (found === null) return null
    return {
      sizeBytes: found.ContentLength ?? 0,
      storedAtMs: found.LastModified?.getTime() ?? 0,
    }
  }

  /** What fits one part is stored in its place at once. */
  const putSmall = async (data: Uint8Array, stored: StoredObject): Promise<void> => {
    if ((await head(stored.digest)) !== null) return
    const to = { Bucket: bucket, Key: keyOf(stored.digest) }
    await orUnavailable(client.send(new PutObjectCommand({ ...to, Body: data })))
  }

  const adopt = async (from: Place, { digest }: StoredObject): Promise<void> => {
    if ((await head(digest)) === null) {
      const source = `${from.bucket}/${encodeURI(from.key)}`
      const to = { Bucket: bucket, Key: keyOf(digest) }
      await orUnavailable(client.send(new CopyObjectCommand({ ...to, CopySource: source })))
    }
    await remove(from.key)
  }

  const remove = async (key: string): Promise<void> => {
    await orUnavailable(client.send(new DeleteObjectCommand({ Bucket: bucket, Key: key })))
  }

  return {
    async put(source, options) {
      const meter = createMeter(options)
      const parts = rechunk(meter.pass(source), PART_BYTES)
      const first = await parts.next()
      const data = first.done ? new Uint8Array() : first.value
      if (data.length < PART_BYTES) {
        const stored = meter.finish()
        await putSmall(data, stored)
        return stored
      }
      const place = { bucket, key: `${staging}${randomUUID()}` }
      return writeMultipart(client, place, startingWith(data, parts), async () => {
        const stored = meter.finish()
        return { stored, finish: () => adopt(place, stored) }
      })
    },
    async *get(digest) {
      const from = { Bucket: bucket, Key: keyOf(digest) }
      const found = await orNull(client.send(new GetObjectCommand(from)))
      if (found === null) throw notFound(digest)
      const hash = createHash('sha256')
      for await (const chunk of orBrokenOff(toChunks(found.Body))) {
        hash.update(chunk)
        yield chunk
      }
      if (hash.digest('hex') !== digest) throw damaged(digest)
    },
    head,
    delete: (digest) => remove(keyOf(digest)),
    async *list() {
      const below = `${prefix}objects/`
      for await (const key of listKeys(client, bucket, below)) {
        const digest = Digest.safeParse(key.name.slice(below.length))
        if (digest.success) yield digest.data
      }
    },
    async sweep({ idleMs }) {
      const before = Date.now() - idleMs
      let numSwept = await sweepMultipart(client, { bucket, key: staging }, before)
      // Complete, and never copied to their place.
      for await (const { name, storedAtMs } of listKeys(client, bucket, staging)) {
        if (storedAtMs > before) continue
        await remove(name)
        numSwept++
      }
      return numSwept
    },
    close: () => client.destroy(),
  }
}

const openClient = (url: string) => {
  const { protocol, hostname: bucket, pathname, searchParams } = new URL(url)
  if (protocol !== 's3:' || bucket === '') throw new TypeError('must be s3://bucket/prefix')
  const endpoint = searchParams.get('endpoint')
  const client = new S3Client({
    region: searchParams.get('region') ?? 'us-east-1',
    ...(endpoint === null ? {} : { endpoint, forcePathStyle: true }),
    maxAttempts: 3,
    requestHandler: { requestTimeout: REQUEST_TIMEOUT_MS },
    // Not every server knows them, and the digest of the whole is checked anyway.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
  })
  const path = pathname.replace(/^\/+|\/+$/g, '')
  return { client, bucket, prefix: path === '' ? '' : `${path}/` }
}

async function* startingWith<T>(first: T, rest: AsyncIterable<T>): AsyncGenerator<T> {
  yield first
  yield* rest
}

async function* listKeys(client: S3Client, bucket: string, prefix: string) {
  const pages = paginateListObjectsV2({ client }, { Bucket: bucket, Prefix: prefix })
  for await (const { Contents = [] } of orBrokenOff(pages)) {
    for (const { Key: name, LastModified } of Contents) {
      if (name !== undefined) yield { name, storedAtMs: LastModified?.getTime() ?? 0 }
    }
  }
}

/** The body of an answer, which Node gets as a stream of chunks. */
const toChunks = (body: unknown): AsyncIterable<Uint8Array> => {
  if (isChunks(body)) return body
  throw new TypeError('the body is no stream')
}

const isChunks = (body: unknown): body is AsyncIterable<Uint8Array> =>
  typeof body === 'object' && body !== null && Symbol.asyncIterator in body
