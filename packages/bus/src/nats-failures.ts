import { AppError } from '@punica/schema'
import { NatsError } from 'nats'
import { closed, noAnswer, noResponders } from './failures.ts'

/** Turns what the client library throws into what a caller may act on. */
export const toBusError = (cause: unknown, subject: string, timeoutMs: number): AppError => {
  if (cause instanceof AppError) return cause
  const code = cause instanceof NatsError ? cause.code : undefined
  switch (code) {
    case '503':
      return noResponders(subject)
    case 'TIMEOUT':
      return noAnswer(subject, timeoutMs)
    case 'MAX_PAYLOAD_EXCEEDED':
      return new AppError('payload_too_large', `The message for ${subject} exceeds the limit`)
    case 'PERMISSIONS_VIOLATION':
      return new AppError('forbidden', `This credential may not publish to ${subject}`)
    case 'CONNECTION_CLOSED':
    case 'CONNECTION_DRAINING':
      return closed()
    default:
      return new AppError('unavailable', `NATS could not serve ${subject}; try again`, { cause })
  }
}

/** JetStream's own error codes that have a meaning to us. */
export const isStreamMissing = (cause: unknown): boolean => apiCode(cause) === 10059
export const isRevisionOld = (cause: unknown): boolean => apiCode(cause) === 10071
export const isAlreadyThere = (cause: unknown): boolean => apiCode(cause) === 10058

const apiCode = (cause: unknown): number | undefined =>
  cause instanceof NatsError ? cause.api_error?.err_code : undefined
