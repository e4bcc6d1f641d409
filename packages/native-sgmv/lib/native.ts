import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import { EngineError } from './errors.ts'
import type { EngineStats, ModelInfo, StepReport } from './types.ts'

/** The raw addon: plain, complete values that this package has checked; see src/addon/convert.h. */
export type NativeAddon = {
  /** `listener` gets reports in order, several at once when JavaScript has fallen behind. */
  createEngine(
    options: NativeOptions,
    listener: (reports: readonly StepReport[]) => void,
  ): Promise<NativeEngine>
}

export type NativeOptions = {
  modelFolder: string
  backend: string
  device: number
  randomWeights: boolean
  /** 0: one for each core. */
  numThreads: number
  compute: string
  maxBatchSize: number
  maxStepTokens: number
  /** 0: none. */
  targetStepMs: number
  /** 0: what `memoryFraction` leaves. */
  poolBytes: number
  /** 0: `poolBytes` alone counts. */
  memoryFraction: number
  hostAdapterBytes: number
  maxWaiting: number
}

export type NativeRequest = {
  id: number
  adapter: number
  /** '' shares with nobody. */
  cacheKey: string
  tokens: Int32Array
  numPromptTokens: number
  maxNewTokens: number
  stopTokens: Int32Array
  ignoreEos: boolean
  grammar: Int32Array
  sampling: NativeSampling
}

export type NativeSampling = {
  temperature: number
  topK: number
  topP: number
  minP: number
  repetitionPenalty: number
  presencePenalty: number
  frequencyPenalty: number
  biasTokens: Int32Array
  /** Of biasTokens, one each. */
  biases: Float32Array
  /** -1: none. */
  numLogprobs: number
  seed: bigint
}

/** Its methods throw errors whose `code` is one of `engineErrorCodes`. */
type NativeEngine = {
  readonly model: ModelInfo
  readonly backend: 'cpu' | 'cuda'
  readonly description: string
  readonly weightBytes: number
  /** 0: not known. */
  readonly readBytesPerSecond: number
  submit(request: NativeRequest): void
  cancel(request: number): void
  evict(request: number): void
  loadAdapter(folder: string): Promise<number>
  loadRandomAdapter(rank: number, modules: readonly string[], seed: number): number
  unloadAdapter(adapter: number): void
  pinAdapter(adapter: number, pinned: boolean): void
  stats(): EngineStats
  close(): Promise<void>
}

const addonFile = fileURLToPath(new URL('../build/Release/native_sgmv.node', import.meta.url))

/** Throws EngineError `backend_unavailable`, saying what was tried and what to do. */
export const loadAddon = (file: string = addonFile): NativeAddon => {
  try {
    return createRequire(import.meta.url)(file)
  } catch (cause) {
    const why = cause instanceof Error ? cause.message.split('\n')[0] : String(cause)
    throw new EngineError(
      'backend_unavailable',
      `The native engine cannot be loaded. Tried ${file}: ${why}. ` +
        'Run `npm run build`; it needs a C++20 compiler and CMake.',
      { cause },
    )
  }
}
