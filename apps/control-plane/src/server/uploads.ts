import { AppError, errors, toAppError, toWireError } from '@punica/schema'
import type { NextFunction, Request, RequestHandler, Response } from 'express'
import { type ByteRange, findReceived, receiveFile } from '../adapters/receive-file.ts'
import { authenticate } from '../keys/authenticate.ts'
import type { Deps } from './context.ts'

/**
 * PUT /uploads/:uploadId/:file, the body being the file: answers its digest and size. With
 * Content-Range the body is a part of it, and 202 says in Upload-Offset from where to go on.
 */
export const createUploadHandler =
  ({ db, store, uploads }: Pick<Deps, 'db' | 'store' | 'uploads'>): RequestHandler =>
  async (request, response, next) => {
    try {
      const actor = await authenticate(db, request.headers.authorization)
      const { uploadId = '', file = '' } = request.params
      const received = {
        uploadId: String(uploadId),
        name: String(file),
        // Leaving the loop early must not tear the socket down before the answer is sent.
        body: request.iterator({ destroyOnReturn: false }),
        contentLength: parseLength(request.headers['content-length']),
        range: parseRange(request.headers['content-range']),
      }
      const result = await uploads.run(() => receiveFile({ db, store, actor }, received))
      if (result.type === 'whole') {
        const { digest, sizeBytes } = result
        response.json({ name: file, digest, sizeBytes })
      } else {
        const { receivedBytes } = result
        response.status(202).set('upload-offset', String(receivedBytes))
        response.json({ name: file, receivedBytes })
      }
    } catch (cause) {
      next(
        request.readableAborted
          ? new AppError('cancelled', 'The upload broke off', { cause })
          : cause,
      )
    }
  }

/** HEAD /uploads/:uploadId/:file: how much of the file has been kept, in Upload-Offset. */
export const createOffsetHandler =
  ({ db }: Pick<Deps, 'db'>): RequestHandler =>
  async (request, response) => {
    const actor = await authenticate(db, request.headers.authorization)
    const { uploadId = '', file = '' } = request.params
    const wanted = { uploadId: String(uploadId), name: String(file) }
    const { receivedBytes, totalBytes, isComplete } = await findReceived({ db, actor }, wanted)
    response.set('cache-control', 'no-store')
    response.set('upload-offset', String(receivedBytes))
    if (totalBytes !== null) response.set('upload-length', String(totalBytes))
    // A structured field (RFC 9651): a boolean.
    response.set('upload-complete', isComplete ? '?1' : '?0')
    response.end()
  }

/**
 * Content-Range of a PUT (RFC 9110, section 14.4): `bytes 0-99/1000`, or with `*` for the bytes where
 * all have been sent before and only the end is to be said. Throws AppError `invalid_request`.
 */
const parseRange = (header: string | undefined): ByteRange | null => {
  if (header === undefined) return null
  const match = /^bytes (?:(\d{1,15})-(\d{1,15})|\*)\/(\d{1,15})$/.exec(header)
  const total = Number(match?.[3])
  const first = match?.[1] === undefined ? total : Number(match[1])
  const last = match?.[2] === undefined ? total - 1 : Number(match[2])
  const isNone = match?.[1] === undefined
  if (match !== null && (isNone || first <= last) && last < total) return { first, last, total }
  throw new AppError(
    'invalid_request',
    'Content-Range: must be bytes <first>-<last>/<size of the whole file>',
    { param: 'Content-Range' },
  )
}

const parseLength = (header: string | undefined): number | null => {
  const length = header === undefined ? Number.NaN : Number(header)
  return Number.isSafeInteger(length) ? length : null
}

/** The one place where a failure of a plain HTTP route becomes a response. */
export const createErrorHandler =
  ({ log }: Pick<Deps, 'log'>) =>
  (cause: unknown, request: Request, response: Response, _next: NextFunction): void => {
    const error = toAppError(toKnown(cause))
    if (error.code === 'internal')
      log.error({ err: error.cause, url: request.path }, 'request failed')
    if (response.headersSent || response.destroyed) {
      response.destroy()
      return
    }
    const { httpStatus } = errors[error.code]
    if (error.retryAfterMs !== undefined) {
      response.set('retry-after', String(Math.ceil(error.retryAfterMs / 1000)))
    }
    // What is left of a body that was refused is not read: the connection ends with the answer.
    if (!request.complete) response.set('connection', 'close')
    response.status(httpStatus).json({ error: toWireError(error) })
  }

/** Errors of express and its body parser carry an HTTP status, and messages for the client. */
const toKnown = (cause: unknown): unknown => {
  if (!(cause instanceof Error) || !('status' in cause)) return cause
  if (cause.status === 413) {
    return new AppError('payload_too_large', 'The request body is over the limit', { cause })
  }
  return cause.status === 400 || cause.status === 415
    ? new AppError('invalid_request', `The request cannot be read: ${cause.message}`, { cause })
    : cause
}
