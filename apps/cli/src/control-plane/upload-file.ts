import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { AppError, errors } from '@punica/schema'
import { toError } from './connect.ts'

export type UploadOptions = {
  /** Of the file in an open upload. */
  url: string
  /** Of the file on disk. */
  path: string
  authorization: string
  /** An earlier try may have left something, from which to go on. */
  isResumed?: boolean
  /** Told how much of the file has been kept or sent. */
  onProgress?: (doneBytes: number) => void
  signal?: AbortSignal
}

const timeoutMs = 60 * 60_000
/** Breaks in a row between which nothing more of the file arrived. */
const maxBreaks = 5
const pauseMs = 1_000

/**
 * PUTs a file. Where the connection breaks or the server is away it goes on from what has been
 * kept, for as long as it gets further. Rejects with AppError for what the server refuses.
 */
export const uploadFile = async (options: UploadOptions): Promise<void> => {
  const { isResumed = false, signal } = options
  const { size } = await stat(options.path)
  let offset = 0
  if (isResumed) {
    const kept = await findKept(options)
    if (kept === 'all') return
    offset = kept !== null && kept <= size ? kept : 0
  }
  for (let breaks = 0; ; breaks++) {
    try {
      await put(options, offset, size)
      return
    } catch (cause) {
      if (signal?.aborted === true || breaks >= maxBreaks || !isPassing(cause)) throw cause
    }
    await sleep(pauseMs, undefined, { signal })
    const kept = await findKept(options)
    if (kept === 'all') return
    if (kept !== null && kept > offset) breaks = 0
    offset = kept ?? offset
  }
}

/** The connection broke, or the server could not just now. */
const isPassing = (cause: unknown): boolean =>
  cause instanceof TypeError || (cause instanceof AppError && errors[cause.code].retryable)

const put = async (
  { url, path, authorization, onProgress = () => {}, signal }: UploadOptions,
  offset: number,
  size: number,
): Promise<void> => {
  const rest = offset === size ? '*' : `${offset}-${size - 1}`
  const body =
    offset === size
      ? []
      : count(createReadStream(path, { start: offset }), (sent) => onProgress(offset + sent))
  const response = await fetch(url, {
    method: 'PUT',
    headers: {
      authorization,
      'content-length': String(size - offset),
      ...(offset === 0 ? {} : { 'content-range': `bytes ${rest}/${size}` }),
    },
    body: Readable.toWeb(Readable.from(body)) as ReadableStream,
    duplex: 'half',
    signal: AbortSignal.any([
      AbortSignal.timeout(timeoutMs),
      ...(signal === undefined ? [] : [signal]),
    ]),
  } as RequestInit)
  if (!response.ok) throw await toRefusal(response)
  await response.body?.cancel()
}

async function* count(
  chunks: AsyncIterable<Uint8Array>,
  onProgress: (numBytes: number) => void,
): AsyncGenerator<Uint8Array> {
  let numBytes = 0
  for await (const chunk of chunks) {
    yield chunk
    numBytes += chunk.length
    onProgress(numBytes)
  }
}

/** How much of the file the server has; null: it does not answer. */
const findKept = async ({ url, authorization }: UploadOptions): Promise<number | 'all' | null> => {
  try {
    const response = await fetch(url, { method: 'HEAD', headers: { authorization } })
    if (!response.ok) return null
    if (response.headers.get('upload-complete') === '?1') return 'all'
    return Number(response.headers.get('upload-offset'))
  } catch (cause) {
    if (cause instanceof TypeError) return null
    throw cause
  }
}

const toRefusal = async (response: Response): Promise<AppError> => {
  const { error } = await response.json()
  return toError(error?.code, error?.message ?? `HTTP ${response.status}`)
}
