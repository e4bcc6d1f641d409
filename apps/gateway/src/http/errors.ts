import { AppError, type ErrorBody, errors, limits, toAppError } from '@punica/schema'

type ErrorReply = {
  status: number
  headers: Record<string, string>
  body: ErrorBody
}

/** The one place where a failure becomes an HTTP response. */
export const toErrorReply = (cause: unknown): ErrorReply => {
  const { code, message, param, retryAfterMs } = toAppError(fromFastify(cause) ?? cause)
  const { httpStatus, openaiType } = errors[code]
  const mayRetryLater = httpStatus === 429 || httpStatus === 503
  const retryAfterSeconds = Math.max(1, Math.ceil((retryAfterMs ?? 1_000) / 1_000))
  return {
    status: httpStatus,
    headers: mayRetryLater ? { 'retry-after': String(retryAfterSeconds) } : {},
    body: { error: { message, type: openaiType, param: param ?? null, code } },
  }
}

/** What the server refuses by itself, before a handler runs. */
const fromFastify = (cause: unknown): AppError | null => {
  if (!(cause instanceof Error) || !('statusCode' in cause)) return null
  const code = 'code' in cause ? cause.code : undefined
  switch (code) {
    case 'FST_ERR_CTP_BODY_TOO_LARGE':
      return new AppError(
        'payload_too_large',
        `body: has more than ${limits.requestBodyBytes} bytes, the limit`,
        { cause },
      )
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE':
      return new AppError('invalid_request', 'content-type: must be application/json', { cause })
    case 'FST_ERR_CTP_EMPTY_JSON_BODY':
    case 'FST_ERR_CTP_INVALID_JSON_BODY':
      return new AppError('invalid_request', 'body: is not valid JSON', { cause })
    default:
      // Its own words about a request that it cannot read (a bad URL, poisoned JSON).
      return Number(cause.statusCode) < 500
        ? new AppError('invalid_request', `request: ${cause.message}`, { cause })
        : null
  }
}
