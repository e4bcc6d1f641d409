/** Handle of a loaded adapter; 0 stands for the base model alone. */
export type AdapterHandle = number

export type EngineOptions = {
  /** Folder with config.json and, unless `randomWeights`, safetensors. */
  modelFolder: string
  /**
   * `cuda` loads libpunica_cuda.so from the addon's own folder; `auto` takes the CPU where that, a
   * GPU or its driver is missing, and `description` then says what was.
   */
  backend?: 'cpu' | 'cuda' | 'auto'
  /** Which of the machine's GPUs, counted from 0. */
  device?: number
  randomWeights?: boolean
  /** Threads of the CPU backend; default: as many as there are cores. */
  numThreads?: number
  /** CPU arithmetic: `f32` is exact, `bf16` rounds activations where the processor multiplies bf16. */
  compute?: 'f32' | 'bf16'
  /** Sequences of one step. */
  maxBatchSize?: number
  /** Rows of one step: decode rows first, then prefill chunks. */
  maxStepTokens?: number
  /** Time of a step that prefill chunks keep to while other requests decode; default: any. */
  targetStepMs?: number
  /** Memory for KV pages and adapters together; the CPU backend needs to be told. */
  poolBytes?: number
  /**
   * Where `poolBytes` is absent: the pool takes what the model leaves of this share of the GPU's
   * memory, 0.9 unless told. What others have there counts as taken.
   */
  memoryFraction?: number
  /** Host memory for loaded adapters. */
  hostAdapterBytes?: number
  maxWaiting?: number
}

export type ModelInfo = {
  architecture: string
  numLayers: number
  hiddenSize: number
  numHeads: number
  numKvHeads: number
  headDim: number
  intermediateSize: number
  vocabSize: number
  maxPositions: number
}

export type SamplingParams = {
  /** 0 is greedy decoding. */
  temperature?: number | undefined
  topK?: number | undefined
  topP?: number | undefined
  minP?: number | undefined
  repetitionPenalty?: number | undefined
  presencePenalty?: number | undefined
  frequencyPenalty?: number | undefined
  /** [token id, added to its logit] */
  logitBias?: readonly (readonly [number, number])[] | undefined
  /** Log-probabilities of the chosen token (0) and of the n likeliest ones. */
  numLogprobs?: number | undefined
  /** With the position it fixes all randomness, whatever else is in the batch. */
  seed?: bigint | undefined
}

export type EngineRequest = {
  /** Chosen by the caller, unique among requests under way; at most 2^53 - 1. */
  id: number
  adapter: AdapterHandle
  /** Who may share KV pages with it; absent: nobody. */
  cacheKey?: string
  /** The prompt and, after a move, what was generated of it elsewhere. */
  tokens: readonly number[] | Int32Array
  /** tokens[numPromptTokens..] were generated; default: all are prompt. */
  numPromptTokens?: number
  /** Counted from numPromptTokens. */
  maxNewTokens: number
  stopTokens?: readonly number[]
  ignoreEos?: boolean
  /**
   * What the generated text must be: a program over its bytes, three numbers an instruction
   * (src/grammar/program.h). It ends at a stop token where it may, and where nothing may follow.
   */
  grammar?: readonly number[] | Int32Array
  sampling?: SamplingParams
}

/**
 * `error` without `StepReport.error`: the model's output for this request is not finite, which
 * weights of its adapter that are too large can cause; other requests are none the worse for it.
 */
export type FinishReason = 'stop' | 'length' | 'cancelled' | 'evicted' | 'error'

export type TokenLogprobs = { logprob: number; top: readonly { token: number; logprob: number }[] }

/** What one step did. Entry i of the token arrays belongs together; so do the entries of `ends`. */
export type StepReport = {
  step: number
  durationMs: number
  numPrefillTokens: number
  numDecodeRows: number
  /** Distinct adapters of the batch, the base model not counted. */
  numAdapters: number
  tokenRequests: Float64Array
  tokens: Int32Array
  /** 0-based among the request's generated tokens. */
  tokenIndices: Int32Array
  /** One entry a token where any request asked for log-probabilities. */
  logprobs: readonly (TokenLogprobs | null)[] | null
  ends: readonly {
    request: number
    reason: FinishReason
    /** For `evicted`: no KV page was left and this was the newest request. */
    byPressure: boolean
  }[]
  error: string | null
  /** The device can run no further step; every request has ended and the engine takes no more. */
  deviceLost: boolean
}

export type AdapterState = {
  handle: AdapterHandle
  hostBytes: number
  /** What it takes of the pool when resident. */
  poolBytes: number
  resident: boolean
  /** Requests that hold it. */
  numRequests: number
}

export type EngineStats = {
  numSteps: number
  numRunning: number
  numWaiting: number
  /** Tokens per KV page. */
  pageSize: number
  pageBytes: number
  /** The pool's slots: each holds one KV page or a part of an adapter. */
  numSlots: number
  /** Free, or kept only for prefix reuse. */
  freeSlots: number
  /** Of the free ones: kept for prefix reuse. */
  cachedSlots: number
  /** Taken by KV pages of requests. */
  kvSlots: number
  /** Taken by adapters, in use or not. */
  adapterSlots: number
  /** Copies of adapters into the pool since the start. */
  numAdapterCopies: number
  hostAdapterBytes: number
  adapters: readonly AdapterState[]
}

/**
 * Requests in, tokens out: one model on one device, stepping on a native thread. Calls return at
 * once and take effect between two steps; what happened is told by `onStep`.
 */
export type Engine = {
  readonly model: ModelInfo
  /** Where it computes. */
  readonly backend: 'cpu' | 'cuda'
  /** One line on device, threads and arithmetic. */
  readonly description: string
  /** Weights that every step reads. */
  readonly weightBytes: number
  /** Of the device's memory, as measured at the start; null: not known. */
  readonly readBytesPerSecond: number | null
  /**
   * One listener, called on the JavaScript thread once a step, and when a request ends between
   * steps. When it falls behind by many steps, their reports come merged into one.
   */
  onStep(listener: (report: StepReport) => void): void
  /** Reads and checks a PEFT folder on a worker thread. Rejects with EngineError. */
  loadAdapter(folder: string): Promise<AdapterHandle>
  loadRandomAdapter(options: {
    rank: number
    modules: readonly string[]
    seed: number
  }): AdapterHandle
  /** Forgotten as soon as no request holds it. */
  unloadAdapter(adapter: AdapterHandle): void
  /**
   * Keeps an adapter in the pool; at most half of the pool may be pinned. It is still given up when
   * a request that has the pool to itself could not run otherwise.
   */
  pinAdapter(adapter: AdapterHandle, pinned: boolean): void
  /**
   * Throws EngineError: unknown_adapter, duplicate_request, invalid_request, queue_full,
   * request_too_large, device_lost.
   */
  submit(request: EngineRequest): void
  cancel(request: number): void
  evict(request: number): void
  stats(): EngineStats
  /** Stops the step thread; requests under way are dropped. */
  close(): Promise<void>
}
