import { z } from 'zod'

/**
 * Every way a call can fail that its caller may act on; anything else is `internal`. `httpStatus`
 * and `openaiType` are what the gateway answers, `retryable` says that the same call may succeed
 * later. docs/failures.md has a paragraph on each.
 */
export const errors = {
  invalid_request: { httpStatus: 400, retryable: false, openaiType: 'invalid_request_error' },
  context_length_exceeded: {
    httpStatus: 400,
    retryable: false,
    openaiType: 'invalid_request_error',
  },
  unauthenticated: { httpStatus: 401, retryable: false, openaiType: 'authentication_error' },
  forbidden: { httpStatus: 403, retryable: false, openaiType: 'permission_error' },
  model_not_found: { httpStatus: 404, retryable: false, openaiType: 'invalid_request_error' },
  not_found: { httpStatus: 404, retryable: false, openaiType: 'invalid_request_error' },
  conflict: { httpStatus: 409, retryable: false, openaiType: 'invalid_request_error' },
  payload_too_large: { httpStatus: 413, retryable: false, openaiType: 'invalid_request_error' },
  adapter_invalid: { httpStatus: 422, retryable: false, openaiType: 'invalid_request_error' },
  adapter_incompatible: { httpStatus: 422, retryable: false, openaiType: 'invalid_request_error' },
  quota_exceeded: { httpStatus: 429, retryable: true, openaiType: 'rate_limit_error' },
  overloaded: { httpStatus: 429, retryable: true, openaiType: 'rate_limit_error' },
  cancelled: { httpStatus: 499, retryable: true, openaiType: 'server_error' },
  internal: { httpStatus: 500, retryable: true, openaiType: 'server_error' },
  unavailable: { httpStatus: 503, retryable: true, openaiType: 'server_error' },
  deadline_exceeded: { httpStatus: 504, retryable: true, openaiType: 'server_error' },
} as const

export type ErrorCode = keyof typeof errors

export const errorCodes = Object.keys(errors) as [ErrorCode, ...ErrorCode[]]

/** An error as it crosses a process: what the client may know, never its cause. */
export const WireError = z.strictObject({
  code: z.enum(errorCodes),
  message: z.string(),
  /** The field at fault, in the words of the request. */
  param: z.string().optional(),
  retryAfterMs: z.int().nonnegative().optional(),
})
export type WireError = z.infer<typeof WireError>

export type AppErrorOptions = ErrorOptions & {
  /** The field at fault, in the words of the request. */
  param?: string | undefined
  retryAfterMs?: number | undefined
}

/** Code and message are written for the client; the cause is for the log and never leaves. */
export class AppError extends Error {
  override readonly name = 'AppError'
  readonly code: ErrorCode
  readonly param: string | undefined
  readonly retryAfterMs: number | undefined

  constructor(code: ErrorCode, message: string, options: AppErrorOptions = {}) {
    super(message, options)
    this.code = code
    this.param = options.param
    this.retryAfterMs = options.retryAfterMs
  }
}

/** Unknown errors keep their cause for the log but show the caller nothing of themselves. */
export const toAppError = (cause: unknown): AppError =>
  cause instanceof AppError ? cause : new AppError('internal', 'Internal error', { cause })

export const toWireError = (cause: unknown): WireError => {
  const { code, message, param, retryAfterMs } = toAppError(cause)
  return {
    code,
    message,
    ...(param === undefined ? {} : { param }),
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  }
}

export const fromWireError = ({ code, message, param, retryAfterMs }: WireError): AppError =>
  new AppError(code, message, { param, retryAfterMs })

/** Turns the first issue of a failed parse into an error that names the field. */
export const toInvalidRequest = (
  error: z.ZodError,
  code: ErrorCode = 'invalid_request',
): AppError => {
  const issue = error.issues[0]
  const unknownField = issue?.code === 'unrecognized_keys' ? issue.keys[0] : undefined
  const path = [...(issue?.path ?? []), ...(unknownField === undefined ? [] : [unknownField])]
  const param = path.join('.')
  // Zod says of a key of a record only that it is invalid; why is one level below.
  const told = issue?.code === 'invalid_key' ? issue.issues[0] : issue
  const what = unknownField === undefined ? (told?.message ?? 'is invalid') : 'is not a known field'
  return new AppError(code, param === '' ? what : `${param}: ${what}`, {
    param: param === '' ? undefined : param,
    cause: error,
  })
}
