import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { uploadFile } from './upload-file.ts'

const content = Buffer.from('0123456789'.repeat(10_000))
let folder = ''
let file = ''
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'punica-upload-'))
  file = path.join(folder, 'file')
  await writeFile(file, content)
})
afterAll(() => rm(folder, { recursive: true }))

type Put = (request: IncomingMessage, response: ServerResponse, body: Buffer) => void

/** A server that answers one PUT after the other as it is told, and HEAD with what `kept` says. */
const upload = async (kept: () => string, puts: Put[]) => {
  const ranges: (string | undefined)[] = []
  const server = createServer(async (request, response) => {
    if (request.method === 'HEAD') {
      const isAll = kept() === 'all'
      const offset = { 'upload-offset': isAll ? content.length : kept() }
      response.writeHead(200, { ...offset, 'upload-complete': isAll ? '?1' : '?0' }).end()
      return
    }
    ranges.push(request.headers['content-range'])
    const body = Buffer.concat(await request.toArray())
    puts.shift()?.(request, response, body)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  const url = `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}/file`
  const outcome = await uploadFile({ url, path: file, authorization: 'Bearer key' }).then(
    () => 'uploaded',
    (cause: unknown) => cause,
  )
  server.closeAllConnections()
  server.close()
  return { outcome, ranges }
}

const breakOff: Put = (request) => request.socket.destroy()
const accept: Put = (_, response) => response.end('{}')
const refuse =
  (status: number, code: string): Put =>
  (_, response) =>
    response.writeHead(status).end(JSON.stringify({ error: { code, message: 'no' } }))

test('a file goes in one piece', async () => {
  let received: Uint8Array = Buffer.alloc(0)
  const { outcome, ranges } = await upload(
    () => '0',
    [
      (_, response, body) => {
        received = body
        response.end('{}')
      },
    ],
  )
  expect([outcome, ranges]).toEqual(['uploaded', [undefined]])
  expect(Buffer.compare(received, content)).toBe(0)
})

test('what breaks off goes on from what has been kept', async () => {
  const { outcome, ranges } = await upload(
    () => '60000',
    [breakOff, refuse(503, 'unavailable'), accept],
  )
  expect(outcome).toBe('uploaded')
  const rest = 'bytes 60000-99999/100000'
  expect(ranges).toEqual([undefined, rest, rest])
})

test('of what has been kept whole only the end is said, or nothing', async () => {
  const unsaid = await upload(() => '100000', [breakOff, accept])
  expect(unsaid).toEqual({ outcome: 'uploaded', ranges: [undefined, 'bytes */100000'] })
  const complete = await upload(() => 'all', [breakOff])
  expect(complete).toEqual({ outcome: 'uploaded', ranges: [undefined] })
})

test('what the server refuses for good is not tried again', async () => {
  const { outcome, ranges } = await upload(() => '0', [refuse(413, 'payload_too_large')])
  expect(outcome).toMatchObject({ code: 'payload_too_large', message: 'no' })
  expect(ranges).toHaveLength(1)
})

test('it gives up where it gets no further', async () => {
  const { outcome, ranges } = await upload(() => '0', new Array(9).fill(breakOff))
  expect(outcome).toBeInstanceOf(TypeError)
  expect(ranges).toHaveLength(6)
})
