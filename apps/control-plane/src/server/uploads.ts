import { AppError, errors, toAppError, toWireError } from '@punica/schema'
import type { NextFunction, Request, RequestHandler, Response } from 'express'
import { receiveFile } from '../adapters/receive-file.ts'
import { authenticate } from '../keys/authenticate.ts'
import type { Deps } from './context.ts'

/** PUT /uploads/:uploadId/:file, the body being the file. Answers its digest and size. */
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
      }
      response.json(await uploads.run(() => receiveFile({ db, store, actor }, received)))
    } catch (cause) {
      next(
        request.readableAborted
          ? new AppError('cancelled', 'The upload broke off', { cause })
          : cause,
      )
    }
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
