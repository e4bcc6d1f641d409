import { checkInteger, checkString, maxInt32 } from './checks.ts'
import { EngineError, type EngineErrorCode, engineErrorCodes } from './errors.ts'
import { loadAddon } from './native.ts'
import { toNativeOptions } from './to-native-options.ts'
import { toNativeRequest } from './to-native-request.ts'
import type { Engine, EngineOptions, StepReport } from './types.ts'

export { EngineError, type EngineErrorCode, engineErrorCodes } from './errors.ts'
export type {
  AdapterHandle,
  AdapterState,
  Engine,
  EngineOptions,
  EngineRequest,
  EngineStats,
  FinishReason,
  ModelInfo,
  SamplingParams,
  StepReport,
  TokenLogprobs,
} from './types.ts'

/**
 * Loads a model and starts its step thread. The engine keeps the event loop alive until `close`.
 * Rejects with EngineError `invalid_options`, `model_invalid`, `backend_unavailable` or
 * `out_of_memory`.
 */
export const createEngine = async (options: EngineOptions): Promise<Engine> => {
  const nativeOptions = toNativeOptions(options)
  let listener: ((report: StepReport) => void) | null = null
  const native = await loadAddon()
    .createEngine(nativeOptions, (reports) => {
      for (const report of reports) deliver(listener, report)
    })
    .catch(rethrow)
  const loading = new Set<Promise<number>>()
  let closing: Promise<void> | null = null

  const attempt = <T>(call: () => T): T => {
    if (closing !== null) throw new EngineError('closed', 'The engine is closed; create another.')
    try {
      return call()
    } catch (err) {
      return rethrow(err)
    }
  }

  const close = async (): Promise<void> => {
    await Promise.allSettled(loading)
    await native.close()
    listener = null
  }

  return {
    model: native.model,
    backend: native.backend,
    description: native.description,
    weightBytes: native.weightBytes,
    readBytesPerSecond: native.readBytesPerSecond || null,
    onStep: (next) => {
      listener = next
    },
    loadAdapter: async (folder) => {
      checkString({ code: 'adapter_invalid', name: 'folder' }, folder)
      const load = attempt(() => native.loadAdapter(folder)).catch(rethrow)
      loading.add(load)
      return await load.finally(() => loading.delete(load))
    },
    loadRandomAdapter: ({ rank, modules, seed }) => {
      checkInteger({ code: 'adapter_invalid', name: 'rank' }, rank, [1, maxInt32])
      checkInteger({ code: 'adapter_invalid', name: 'seed' }, seed, [0, Number.MAX_SAFE_INTEGER])
      return attempt(() => native.loadRandomAdapter(rank, modules, seed))
    },
    unloadAdapter: (adapter) => attempt(() => native.unloadAdapter(toHandle(adapter))),
    pinAdapter: (adapter, pinned) => attempt(() => native.pinAdapter(toHandle(adapter), pinned)),
    submit: (request) => {
      const nativeRequest = toNativeRequest(request)
      attempt(() => native.submit(nativeRequest))
    },
    cancel: (request) => attempt(() => native.cancel(request)),
    evict: (request) => attempt(() => native.evict(request)),
    stats: () => attempt(() => native.stats()),
    close: () => {
      closing ??= close()
      return closing
    },
  }
}

/**
 * What a listener throws is thrown again where the process handles uncaught exceptions: Node-API
 * would only print a warning, and the reports that follow would be lost.
 */
const deliver = (listener: ((report: StepReport) => void) | null, report: StepReport): void => {
  try {
    listener?.(report)
  } catch (err) {
    queueMicrotask(() => {
      throw err
    })
  }
}

const toHandle = (adapter: number): number =>
  checkInteger({ code: 'unknown_adapter', name: 'adapter' }, adapter, [1, 2 ** 32 - 1])

/** The addon's errors carry a code; EngineError is for callers to recognise. */
const rethrow = (cause: unknown): never => {
  if (!(cause instanceof Error) || !('code' in cause) || !isEngineErrorCode(cause.code)) throw cause
  throw new EngineError(cause.code, cause.message, { cause })
}

const isEngineErrorCode = (code: unknown): code is EngineErrorCode =>
  engineErrorCodes.some((known) => known === code)
