/** Every way a call of the engine can fail that its caller may act on. */
export const engineErrorCodes = [
  'invalid_options',
  'model_invalid',
  'backend_unavailable',
  'out_of_memory',
  'adapter_invalid',
  'adapter_memory_full',
  'unknown_adapter',
  'duplicate_request',
  'invalid_request',
  'request_too_large',
  'queue_full',
  'device_lost',
  'closed',
] as const

export type EngineErrorCode = (typeof engineErrorCodes)[number]

export class EngineError extends Error {
  override readonly name = 'EngineError'
  readonly code: EngineErrorCode

  constructor(code: EngineErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}
