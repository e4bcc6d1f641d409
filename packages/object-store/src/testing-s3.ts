// As much of S3 as the store uses, within this process, and strict where a real one is: signatures
// (AWS Signature Version 4, checked from its description, not by the SDK), the hash of each body,
// the least size of a part, and what is not there.
import { createHash, createHmac } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server } from 'node:http'

export const credentials = { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'a secret of the test' }

type Stored = { data: Buffer; at: Date }
type Upload = { key: string; at: Date; parts: Map<number, Stored> }
type Answer = { status: number; headers?: Record<string, string>; body?: string | Buffer }

const minPartBytes = 5 * 1024 ** 2
/** Small, so that lists come in pages. */
const pageSize = 3

export type TestS3 = {
  url: string
  /** By bucket and key. */
  objects: Map<string, Stored>
  uploads: Map<string, Upload>
  /** Answers 503 to so many requests from now on. */
  fail(count: number): void
  stop(): Promise<void>
}

export const startTestS3 = async (): Promise<TestS3> => {
  const objects = new Map<string, Stored>()
  const uploads = new Map<string, Upload>()
  let numFailures = 0
  const server: Server = createServer(async (request, response) => {
    const body = Buffer.concat(await request.toArray())
    const isFailing = numFailures > 0
    if (isFailing) numFailures--
    const {
      status,
      headers = {},
      body: content = '',
    } = isFailing
      ? problem(503, 'SlowDown')
      : (refuse(request, body) ?? answer({ objects, uploads }, request, body))
    const length = headers['content-length'] ?? String(Buffer.byteLength(content))
    response.writeHead(status, { ...headers, 'content-length': length })
    response.end(request.method === 'HEAD' ? undefined : content)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  return {
    url: `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`,
    objects,
    uploads,
    fail: (count) => {
      numFailures = count
    },
    stop: async () => {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

const urlOf = ({ url = '/' }: IncomingMessage): URL => new URL(url, 'http://s3')

/** What is wrong with the signature or the body; null: nothing. */
const refuse = (request: IncomingMessage, body: Buffer): Answer | null => {
  const given = String(request.headers['x-amz-content-sha256'])
  if (given !== sha256(body)) return problem(400, 'XAmzContentSHA256Mismatch')
  const fields =
    /^AWS4-HMAC-SHA256 Credential=([^/]+)\/([^,]+), SignedHeaders=([^,]+), Signature=(.+)$/
  const [, id, scope = '', signed = '', signature] =
    fields.exec(request.headers.authorization ?? '') ?? []
  if (id !== credentials.accessKeyId) return problem(403, 'InvalidAccessKeyId')
  const expected = sign(request, { scope, signed: signed.split(';'), given })
  return signature === expected ? null : problem(403, 'SignatureDoesNotMatch')
}

type Signed = { scope: string; signed: string[]; given: string }

const sign = (request: IncomingMessage, { scope, signed, given }: Signed): string => {
  const { pathname, searchParams } = urlOf(request)
  const query = [...searchParams]
    .map(([name, value]) => `${encode(name)}=${encode(value)}`)
    .sort()
    .join('&')
  const headers = signed.map((name) => `${name}:${String(request.headers[name]).trim()}\n`).join('')
  const canonical = [request.method, pathname, query, headers, signed.join(';'), given].join('\n')
  const text = [
    'AWS4-HMAC-SHA256',
    request.headers['x-amz-date'],
    scope,
    sha256(Buffer.from(canonical)),
  ].join('\n')
  const key = scope
    .split('/')
    .reduce<Buffer>(hmac, Buffer.from(`AWS4${credentials.secretAccessKey}`))
  return hmac(key, text).toString('hex')
}

const hmac = (key: Buffer, text: string): Buffer => createHmac('sha256', key).update(text).digest()
const sha256 = (data: Buffer): string => createHash('sha256').update(data).digest('hex')
const encode = (text: string): string =>
  encodeURIComponent(text).replace(
    /[!'()*]/g,
    (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`,
  )

type State = Pick<TestS3, 'objects' | 'uploads'>

const answer = (state: State, request: IncomingMessage, body: Buffer): Answer => {
  const { pathname, searchParams: query } = urlOf(request)
  const key = decodeURIComponent(pathname.slice(1))
  const upload = query.get('uploadId')
  if (upload !== null) return answerUpload(state, request, { id: upload, key, body })
  if (query.has('uploads')) {
    return request.method === 'POST' ? beginUpload(state, key) : listUploads(state, query)
  }
  if (query.get('list-type') === '2') return listObjects(state, key.split('/')[0] ?? '', query)
  return answerObject(state, request, { key, body })
}

const answerObject = (
  { objects }: State,
  { method, headers }: IncomingMessage,
  { key, body }: { key: string; body: Buffer },
): Answer => {
  const found = objects.get(key)
  if (method === 'PUT') {
    const from = headers['x-amz-copy-source']
    const data = from === undefined ? body : objects.get(decodeURI(String(from)))?.data
    if (data === undefined) return problem(404, 'NoSuchKey')
    objects.set(key, { data, at: new Date() })
    return from === undefined
      ? { status: 200, headers: { etag: '"e"' } }
      : xml('CopyObjectResult', '<ETag>"e"</ETag>')
  }
  if (method === 'DELETE') {
    objects.delete(key)
    return { status: 204 }
  }
  if (found === undefined) return problem(404, 'NoSuchKey')
  const length = { 'content-length': String(found.data.length) }
  const modified = { 'last-modified': found.at.toUTCString() }
  return { status: 200, headers: { ...length, ...modified }, body: found.data }
}

const beginUpload = ({ uploads }: State, key: string): Answer => {
  const id = `upload-${uploads.size}-${Date.now()}`
  uploads.set(id, { key, at: new Date(), parts: new Map() })
  return xml('InitiateMultipartUploadResult', `<UploadId>${id}</UploadId>`)
}

const answerUpload = (
  { objects, uploads }: State,
  request: IncomingMessage,
  { id, key, body }: { id: string; key: string; body: Buffer },
): Answer => {
  const upload = uploads.get(id)
  if (upload === undefined || upload.key !== key) return problem(404, 'NoSuchUpload')
  switch (request.method) {
    case 'PUT': {
      const number = Number(urlOf(request).searchParams.get('partNumber'))
      upload.parts.set(number, { data: body, at: new Date() })
      return { status: 200, headers: { etag: `"${number}"` } }
    }
    case 'GET': {
      const parts = [...upload.parts].map(
        ([n, { at }]) =>
          `<Part><PartNumber>${n}</PartNumber><LastModified>${at.toISOString()}</LastModified></Part>`,
      )
      return xml('ListPartsResult', parts.join(''))
    }
    case 'POST': {
      const numbers = [...body.toString().matchAll(/<PartNumber>(\d+)</g)].map((m) => Number(m[1]))
      const parts = numbers.map((n) => upload.parts.get(n)?.data)
      const data = parts.filter((part) => part !== undefined)
      if (data.length < parts.length) return problem(400, 'InvalidPart')
      if (data.slice(0, -1).some(({ length }) => length < minPartBytes)) {
        return problem(400, 'EntityTooSmall')
      }
      objects.set(key, { data: Buffer.concat(data), at: new Date() })
      uploads.delete(id)
      return xml('CompleteMultipartUploadResult', `<Key>${key}</Key>`)
    }
    default:
      uploads.delete(id)
      return { status: 204 }
  }
}

const listObjects = ({ objects }: State, bucket: string, query: URLSearchParams): Answer => {
  const prefix = `${bucket}/${query.get('prefix') ?? ''}`
  const after = query.get('continuation-token') ?? ''
  const keys = [...objects.keys()].filter((key) => key.startsWith(prefix) && key > after).sort()
  const page = keys.slice(0, pageSize)
  const contents = page.map((key) => {
    const at = objects.get(key)?.at.toISOString()
    return `<Contents><Key>${key.slice(bucket.length + 1)}</Key><LastModified>${at}</LastModified></Contents>`
  })
  const isLast = page.length === keys.length
  const next = isLast ? '' : `<NextContinuationToken>${page.at(-1)}</NextContinuationToken>`
  return xml('ListBucketResult', `<IsTruncated>${!isLast}</IsTruncated>${next}${contents.join('')}`)
}

const listUploads = ({ uploads }: State, query: URLSearchParams): Answer => {
  const after = query.get('upload-id-marker') ?? ''
  const ids = [...uploads.keys()].filter((id) => id > after).sort()
  const page = ids.slice(0, pageSize)
  const entries = page.map((id) => {
    const { key, at } = uploads.get(id) ?? { key: '', at: new Date() }
    const name = key.slice(key.indexOf('/') + 1)
    return `<Upload><Key>${name}</Key><UploadId>${id}</UploadId><Initiated>${at.toISOString()}</Initiated></Upload>`
  })
  const isLast = page.length === ids.length
  const next = isLast
    ? ''
    : `<NextKeyMarker>x</NextKeyMarker><NextUploadIdMarker>${page.at(-1)}</NextUploadIdMarker>`
  return xml(
    'ListMultipartUploadsResult',
    `<IsTruncated>${!isLast}</IsTruncated>${next}${entries.join('')}`,
  )
}

const xml = (root: string, content: string): Answer => ({
  status: 200,
  headers: { 'content-type': 'application/xml' },
  body: `<?xml version="1.0"?><${root}>${content}</${root}>`,
})

const problem = (status: number, code: string): Answer => ({
  status,
  headers: { 'content-type': 'application/xml' },
  body: `<?xml version="1.0"?><Error><Code>${code}</Code><Message>${code}</Message></Error>`,
})
