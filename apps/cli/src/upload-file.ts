import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { AppError, type ErrorCode, errors } from '@punica/schema'

export type UploadOptions = {
  /** Of the file in an open upload. */
  url: string
  /** Of the file on disk. */
  path: string
  authorization: string
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
  const { size } = await stat(options.path)
  let offset = 0
  for (let breaks = 0; ; breaks++) {
    try {
      await put(options, offset, size)
      return
    } catch (cause) {
      if (breaks >= maxBreaks || !isPassing(cause)) throw cause
    }
    await sleep(pauseMs)
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
  { url, path, authorization }: UploadOptions,
  offset: number,
  size: number,
): Promise<void> => {
  const rest = offset === size ? '*' : `${offset}-${size - 1}`
  const body = offset === size ? Readable.from([]) : createReadStream(path, { start: offset })
  const response = await fetch(url, {
    method: 'PUT',
    headers: {
      authorization,
      'content-length': String(size - offset),
      ...(offset === 0 ? {} : { 'content-range': `bytes ${rest}/${size}` }),
    },
    body: Readable.toWeb(body) as ReadableStream,
    duplex: 'half',
    signal: AbortSignal.timeout(timeoutMs),
  } as RequestInit)
  if (!response.ok) throw await toRefusal(response)
  await response.body?.cancel()
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

const isErrorCode = (code: unknown): code is ErrorCode => typeof code === 'string' && code in errors

/** An error of the server in its own words. */
export const toError = (code: unknown, message: string, field?: string | null): AppError =>
  new AppError(isErrorCode(code) ? code : 'internal', message, { param: field ?? undefined })
