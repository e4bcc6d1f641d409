import { createHash, randomBytes } from 'node:crypto'
import { request } from 'node:http'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Harness, startHarness } from '../testing/harness.ts'
import { config, createUploads, type Upload, weights } from '../testing/uploads.ts'

let harness: Harness
let uploads: ReturnType<typeof createUploads>
let key = ''
beforeAll(async () => {
  harness = await startHarness()
  key = (await harness.createTenant('acme')).admin
  uploads = createUploads(harness, { tenant: 'acme', key })
})
afterAll(() => harness.stop())

const file = 'adapter_model.safetensors'
const partBytes = 8 * 1024 ** 2
const data = randomBytes(2 * partBytes + 1_000_000)
const digest = createHash('sha256').update(data).digest('hex')

const range = (first: number, last: number, total = data.length) => ({
  'content-range': `bytes ${first}-${last}/${total}`,
})

/** PUTs a part of the file; `last` is left out for the rest of it. */
const putPart = (upload: Upload, first: number, last = data.length - 1): Promise<Response> =>
  uploads.put(upload, file, data.subarray(first, last + 1), range(first, last))

/** A PUT of which the client sends so many bytes and is gone. */
const breakOff = (upload: Upload, first: number, numBytes: number): Promise<void> =>
  new Promise((resolve) => {
    const headers = {
      authorization: `Bearer ${key}`,
      'content-length': data.length - first,
      ...range(first, data.length - 1),
    }
    const url = `${harness.url}/uploads/${upload.id}/${file}`
    const sending = request(url, { method: 'PUT', headers })
    sending.on('error', () => resolve())
    sending.write(data.subarray(first, first + numBytes), () => sending.destroy())
  })

const digestsOf = async (): Promise<string[]> => {
  const digests: string[] = []
  for await (const one of harness.store.list()) digests.push(one)
  return digests
}

describe('a file', () => {
  test('comes in parts, and leaves one object of them', async () => {
    const upload = await uploads.open('parts')
    expect(await uploads.head(upload, file)).toEqual({
      status: 200,
      offset: 0,
      length: null,
      complete: '?0',
    })
    const before = await digestsOf()
    const first = await putPart(upload, 0, partBytes - 1)
    expect([first.status, first.headers.get('upload-offset')]).toEqual([202, `${partBytes}`])
    expect(await first.json()).toEqual({ name: file, receivedBytes: partBytes })
    expect(await uploads.head(upload, file)).toMatchObject({
      offset: partBytes,
      length: `${data.length}`,
      complete: '?0',
    })
    const rest = await putPart(upload, partBytes)
    expect(rest.status).toBe(200)
    expect(await rest.json()).toEqual({ name: file, digest, sizeBytes: data.length })
    expect(await uploads.head(upload, file)).toEqual({
      status: 200,
      offset: data.length,
      length: `${data.length}`,
      complete: '?1',
    })
    expect((await digestsOf()).filter((one) => !before.includes(one))).toEqual([digest])
  })

  test('that breaks off goes on where it was', async () => {
    const upload = await uploads.open('resumed')
    await breakOff(upload, 0, partBytes + 500_000)
    await expect.poll(async () => (await uploads.head(upload, file)).offset).toBe(partBytes)
    const query = `{ adapterUpload(id: "${upload.id}") { status files { name receivedBytes digest } } }`
    expect((await harness.graphql(query, {}, key)).data?.adapterUpload).toEqual({
      status: 'PENDING',
      files: [
        { name: 'adapter_config.json', receivedBytes: 0, digest: null },
        { name: file, receivedBytes: partBytes, digest: null },
      ],
    })
    const rest = await putPart(upload, partBytes)
    expect(await rest.json()).toMatchObject({ digest, sizeBytes: data.length })
  })

  test('of which only the end was not said is ended by an empty PUT', async () => {
    const upload = await uploads.open('unsaid')
    await putPart(upload, 0, 2 * partBytes - 1)
    // As a control plane leaves it that dies between the last part and the end.
    const last = data.subarray(2 * partBytes)
    const source = (async function* () {
      yield last
    })()
    const stored = await harness.store.put(source, { maxBytes: last.length })
    const where = { uploadId: upload.id, name: file }
    await harness.db.incomingPart.create({
      data: { ...where, ...stored, offsetBytes: 2 * partBytes },
    })
    await harness.db.incomingFile.updateMany({ where, data: { receivedBytes: data.length } })
    const headers = { 'content-range': `bytes */${data.length}` }
    const ended = await uploads.put(upload, file, new Uint8Array(), headers)
    expect(await ended.json()).toEqual({ name: file, digest, sizeBytes: data.length })
  })

  test('begun anew forgets what had come of it', async () => {
    const upload = await uploads.open('anew')
    await putPart(upload, 0, partBytes - 1)
    expect((await uploads.put(upload, file, weights)).status).toBe(200)
    await uploads.put(upload, 'adapter_config.json', config)
    expect((await uploads.publish(upload)).version.version).toBe(1)
  })

  test('that has come is there until the next has come whole', async () => {
    const upload = await uploads.open('kept')
    await uploads.put(upload, file, weights)
    await putPart(upload, 0, partBytes - 1)
    await uploads.put(upload, 'adapter_config.json', config)
    expect((await uploads.publish(upload)).version.version).toBe(1)
  })
})

describe('two PUTs of one file', () => {
  test('never mix: the one that began first is refused', async () => {
    const upload = await uploads.open('raced')
    let go = (): void => {}
    const mayGo = new Promise<void>((resolve) => {
      go = resolve
    })
    const slow = uploads.put(
      upload,
      file,
      new ReadableStream({
        async start(controller) {
          controller.enqueue(new Uint8Array(partBytes))
          await mayGo
          controller.enqueue(new Uint8Array(partBytes))
          controller.close()
        },
      }),
    )
    await expect.poll(async () => (await uploads.head(upload, file)).offset).toBe(partBytes)
    const whole = await uploads.put(upload, file, data)
    expect(await whole.json()).toMatchObject({ digest })
    go()
    const refused = await slow
    expect([refused.status, (await refused.json()).error.code]).toEqual([409, 'conflict'])
    expect(await uploads.head(upload, file)).toMatchObject({ offset: data.length, complete: '?1' })
  })

  test('of the same bytes for two uploads at once both arrive', async () => {
    const both = await Promise.all(['one', 'two'].map((name) => uploads.open(name)))
    const statuses = await Promise.all(
      both.map(async (upload) => {
        const sent = await uploads.put(upload, file, data)
        if (sent.status === 200) return 200
        // The other has just removed the parts that both had: what is lost is said, and sent again.
        expect([sent.status, (await sent.json()).error.code]).toEqual([503, 'unavailable'])
        const { offset } = await uploads.head(upload, file)
        return (await putPart(upload, offset)).status
      }),
    )
    expect(statuses).toEqual([200, 200])
    expect(await harness.store.head(digest)).toMatchObject({ sizeBytes: data.length })
  })
})

describe('a part', () => {
  test.each([
    ['that leaves a hole', range(data.length - 100, data.length - 1), 409, 'the next byte'],
    ['of no range', { 'content-range': 'bytes 5-3/10' }, 400, 'must be bytes'],
    ['beyond the file', { 'content-range': 'bytes 0-10/10' }, 400, 'must be bytes'],
    ['of another unit', { 'content-range': 'lines 0-9/10' }, 400, 'must be bytes'],
    ['of an unknown size', { 'content-range': 'bytes 0-9/*' }, 400, 'must be bytes'],
    ['that is small and not the last', range(0, 99), 400, 'at least 8388608 bytes'],
    ['of another length', range(0, partBytes), 400, 'Content-Length 100'],
    ['of a file over the limit', range(0, partBytes, 5 * 1024 ** 3), 413, '4294967296'],
  ])('%s is refused', async (_, headers, status, message) => {
    const upload = await uploads.open('refused')
    const response = await uploads.put(upload, file, data.subarray(0, 100), headers)
    expect(response.status).toBe(status)
    expect((await response.json()).error.message).toContain(message)
    expect(await uploads.head(upload, file)).toMatchObject({ offset: 0, complete: '?0' })
  })

  test('of a file that was said to be larger is refused', async () => {
    const upload = await uploads.open('grown')
    await putPart(upload, 0, partBytes - 1)
    const headers = range(partBytes, 2 * partBytes - 1, 3 * partBytes)
    const body = data.subarray(partBytes, 2 * partBytes)
    const response = await uploads.put(upload, file, body, headers)
    expect(response.status).toBe(409)
    expect((await response.json()).error.message).toContain(`said to have ${data.length} bytes`)
  })
})
