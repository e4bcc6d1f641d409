import { createHash } from 'node:crypto'
import { type Digest, ObjectInfo, objectBucket } from '@punica/schema'
import {
  headers,
  type JetStreamClient,
  type JetStreamManager,
  type NatsConnection,
  nuid,
} from 'nats'
import { createMeter, damaged, notFound, rechunk } from './content.ts'
import {
  ensureObjectStream,
  getMessage,
  isWrongRevision,
  listSubjects,
  orUnavailable,
  STREAM,
  type StoredMessage,
} from './nats-stream.ts'
import type { ObjectStore, StoredObject } from './object-store.ts'
import { createWindow } from './window.ts'

const CHUNK_BYTES = 256 * 1024
/** Chunks on their way to the server at once, and so what a put holds in memory. */
const MAX_CHUNKS_IN_FLIGHT = 8
const STORE_TIMEOUT_MS = 30_000

type Deps = { connection: NatsConnection; js: JetStreamClient; jsm: JetStreamManager }
type Found = { info: ObjectInfo; revision: number }

const chunkSubject = (id: string): string => `$O.${objectBucket}.C.${id}`
/** Every subject of each kind; what stands for the `>` is the id, or the encoded name. */
const chunkSubjects = `$O.${objectBucket}.C.>`
const infoSubjects = `$O.${objectBucket}.M.>`
const infoSubject = (digest: Digest): string =>
  `$O.${objectBucket}.M.${toPadded(Buffer.from(digest).toString('base64url'))}`

/**
 * Objects in a NATS object store bucket. Bulk data should have a connection of its own, so that no
 * token waits behind a chunk. The client library's object store is not used: it hashes in
 * JavaScript, buffers without a bound, and a chunk that fails ends the process.
 */
export const natsObjectStore = async (connection: NatsConnection): Promise<ObjectStore> => {
  const js = connection.jetstream({ timeout: STORE_TIMEOUT_MS, checkAPI: false })
  const jsm = await connection.jetstreamManager({ checkAPI: false })
  const deps = { connection, js, jsm }
  await ensureObjectStream(jsm)
  return {
    async put(source, options) {
      const { digest } = options
      const meter = createMeter(options)
      const content = meter.pass(source)
      if (digest !== undefined && isPresent(await find(deps, digest))) {
        // Read all the same: the caller's stream ends, and a wrong digest is refused.
        for await (const _ of content);
        return meter.finish()
      }
      const id = nuid.next()
      try {
        const chunks = await writeChunks(deps, id, content)
        const stored = meter.finish()
        if (!(await announce(deps, id, chunks, stored))) await purge(deps, id)
        return stored
      } catch (cause) {
        await purge(deps, id).catch(() => {})
        throw cause
      }
    },
    get: (digest) => read(deps, digest),
    async head(digest) {
      const found = await find(deps, digest)
      if (found === null || !isPresent(found)) return null
      return { sizeBytes: found.info.size, storedAtMs: Date.parse(found.info.mtime ?? '') || 0 }
    },
    async delete(digest) {
      const found = await find(deps, digest)
      if (found === null || !isPresent(found)) return
      const { info, revision } = found
      const gone = { ...info, size: 0, chunks: 0, digest: '', deleted: true }
      if (await writeInfo(deps, gone, revision)) await purge(deps, info.nuid)
    },
    list: () => listDigests(deps),
    sweep: ({ idleMs }) => sweepChunks(deps, idleMs),
  }
}

const isPresent = (found: Found | null): boolean => found !== null && found.info.deleted !== true

/** Resolves to the number of chunks once the server has stored them all. */
const writeChunks = async (
  { js }: Deps,
  id: string,
  content: AsyncIterable<Uint8Array>,
): Promise<number> => {
  const window = createWindow(MAX_CHUNKS_IN_FLIGHT)
  let numChunks = 0
  for await (const chunk of rechunk(content, CHUNK_BYTES)) {
    numChunks++
    await window.add(orUnavailable(js.publish(chunkSubject(id), chunk)))
  }
  await window.drain()
  return numChunks
}

/** Makes the chunks an object; false where another put of the same content came first. */
const announce = async (
  deps: Deps,
  id: string,
  chunks: number,
  { digest, sizeBytes }: StoredObject,
): Promise<boolean> => {
  const before = await find(deps, digest)
  if (isPresent(before)) return false
  const info: ObjectInfo = {
    name: digest,
    bucket: objectBucket,
    nuid: id,
    size: sizeBytes,
    chunks,
    digest: `SHA-256=${toPadded(Buffer.from(digest, 'hex').toString('base64url'))}`,
    mtime: new Date().toISOString(),
  }
  return writeInfo(deps, info, before?.revision ?? 0)
}

/** False where the info has changed since `revision`. */
const writeInfo = async ({ js }: Deps, info: ObjectInfo, revision: number): Promise<boolean> => {
  const replace = headers()
  replace.set('Nats-Rollup', 'sub')
  try {
    await js.publish(infoSubject(info.name), JSON.stringify(info), {
      headers: replace,
      expect: { lastSubjectSequence: revision },
    })
    return true
  } catch (cause) {
    if (isWrongRevision(cause)) return false
    return orUnavailable(Promise.reject(cause))
  }
}

const find = async ({ connection }: Deps, digest: Digest): Promise<Found | null> => {
  const message = await getMessage(connection, { last_by_subj: infoSubject(digest) })
  if (message === null) return null
  const info = ObjectInfo.parse(JSON.parse(new TextDecoder().decode(message.data)))
  return { info, revision: message.seq }
}

async function* read(deps: Deps, digest: Digest): AsyncGenerator<Uint8Array> {
  const found = await find(deps, digest)
  if (found === null || !isPresent(found)) throw notFound(digest)
  const { nuid: id, chunks, size } = found.info
  const hash = createHash('sha256')
  let sizeBytes = 0
  let next: Promise<StoredMessage | null> | null = null
  for (let i = 0; i < chunks; i++) {
    const chunk: StoredMessage | null = await (next ?? readChunk(deps, id, 1))
    if (chunk === null) {
      throw isPresent(await find(deps, digest)) ? damaged(digest) : notFound(digest)
    }
    next = i + 1 < chunks ? readChunk(deps, id, chunk.seq + 1) : null
    // The reader may stop here, and then nobody waits for it.
    next?.catch(() => {})
    hash.update(chunk.data)
    sizeBytes += chunk.data.length
    yield chunk.data
  }
  if (sizeBytes !== size || hash.digest('hex') !== digest) throw damaged(digest)
}

async function* listDigests(deps: Deps): AsyncGenerator<Digest> {
  for (const subject of await listSubjects(deps.jsm, infoSubjects)) {
    const name = subject.slice(infoSubjects.length - 1)
    const digest = Buffer.from(name, 'base64url').toString()
    // The mark that an object was deleted stays for as long as the bucket does.
    if (isPresent(await find(deps, digest))) yield digest
  }
}

/**
 * Chunks are looked at before objects: a put that ends in between is found to be an object, and one
 * that goes on is not idle.
 */
const sweepChunks = async (deps: Deps, idleMs: number): Promise<number> => {
  const subjects = await listSubjects(deps.jsm, chunkSubjects)
  const before = Date.now() - idleMs
  const idle: string[] = []
  for (const subject of subjects) {
    const newest = await getMessage(deps.connection, { last_by_subj: subject })
    if (newest !== null && newest.timeMs <= before) idle.push(subject)
  }
  if (idle.length === 0) return 0
  const used = new Set<string>()
  for await (const digest of listDigests(deps)) {
    const found = await find(deps, digest)
    if (found !== null) used.add(chunkSubject(found.info.nuid))
  }
  const orphans = idle.filter((subject) => !used.has(subject))
  for (const subject of orphans) await purge(deps, subject.slice(chunkSubjects.length - 1))
  return orphans.length
}

/** The first chunk of an object from a place in the stream on, or null where there is none. */
const readChunk = ({ connection }: Deps, id: string, seq: number): Promise<StoredMessage | null> =>
  getMessage(connection, { seq, next_by_subj: chunkSubject(id) })

const purge = async ({ jsm }: Deps, id: string): Promise<void> => {
  await orUnavailable(jsm.streams.purge(STREAM, { filter: chunkSubject(id) }))
}

/** The NATS tools write base64 with padding. */
const toPadded = (base64: string): string => base64.padEnd(Math.ceil(base64.length / 4) * 4, '=')
