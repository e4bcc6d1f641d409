import { EngineError, type EngineErrorCode } from '@punica/native-sgmv'
import { AppError, type ErrorCode, toAppError } from '@punica/schema'

/** What a failure of the engine means to the client whose request met it. */
const codes: Record<EngineErrorCode, ErrorCode> = {
  invalid_request: 'invalid_request',
  request_too_large: 'context_length_exceeded',
  adapter_invalid: 'adapter_invalid',
  adapter_memory_full: 'overloaded',
  queue_full: 'overloaded',
  closed: 'unavailable',
  device_lost: 'unavailable',
  backend_unavailable: 'unavailable',
  out_of_memory: 'unavailable',
  // These would be mistakes of this program, and are not for the client to read.
  invalid_options: 'internal',
  model_invalid: 'internal',
  unknown_adapter: 'internal',
  duplicate_request: 'internal',
}

/** Turns whatever went wrong with a task into the error that its client gets. */
export const toTaskError = (cause: unknown): AppError => {
  if (!(cause instanceof EngineError)) return toAppError(cause)
  const code = codes[cause.code]
  if (code === 'internal') return new AppError('internal', 'Internal error', { cause })
  return new AppError(code, cause.message, {
    cause,
    retryAfterMs: code === 'overloaded' ? 1_000 : undefined,
  })
}
