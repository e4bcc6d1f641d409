import {
  type Engine,
  EngineError,
  type EngineRequest,
  type FinishReason,
  type ModelInfo,
  type StepReport,
} from '@punica/native-sgmv'

const pageSize = 16
const adapterBytes = 300
const maxPositions = 256

const model: ModelInfo = {
  architecture: 'fake',
  numLayers: 1,
  hiddenSize: 8,
  numHeads: 1,
  numKvHeads: 1,
  headDim: 8,
  intermediateSize: 8,
  vocabSize: 1_000,
  maxPositions,
}

/**
 * An engine that computes nothing and steps when it is told to: the token at generated index i is
 * 100 + i. `hostAdapters` is how many adapters fit its host memory.
 */
export const createFakeEngine = ({ numSlots = 64, hostAdapters = 2 } = {}) => {
  const steps = createFakeSteps(numSlots)
  const adapters = new Map<number, string>()
  let nextHandle = 1
  let isClosed = false
  /** Tests replace it to make loading slow or fail. */
  const hooks = { load: async (_folder: string): Promise<void> => {} }

  const checkOpen = (): void => {
    if (isClosed) throw new EngineError('closed', 'The engine is closed')
  }

  const engine: Engine = {
    model,
    backend: 'cpu',
    description: 'fake engine',
    weightBytes: 1_000_000,
    readBytesPerSecond: 1e9,
    onStep: steps.onStep,
    loadAdapter: async (folder) => {
      await hooks.load(folder)
      if (adapters.size >= hostAdapters) throw new EngineError('adapter_memory_full', 'full')
      adapters.set(nextHandle, folder)
      return nextHandle++
    },
    loadRandomAdapter: () => nextHandle++,
    unloadAdapter: (handle) => void adapters.delete(handle),
    pinAdapter: () => {},
    submit: (request) => {
      checkOpen()
      steps.add(request)
    },
    cancel: (id) => steps.want(id, 'cancelled'),
    evict: (id) => steps.want(id, 'evicted'),
    stats: () => {
      checkOpen()
      return {
        ...steps.stats(),
        adapterSlots: 3 * adapters.size,
        numAdapterCopies: 0,
        hostAdapterBytes: adapterBytes * adapters.size,
        adapters: [...adapters.keys()].map((handle) => ({
          handle,
          hostBytes: adapterBytes,
          poolBytes: adapterBytes,
          resident: true,
          numRequests: 0,
        })),
      }
    },
    close: async () => {
      isClosed = true
    },
  }
  return { engine, hooks, adapters, ...steps }
}

type Running = { request: EngineRequest; numTokens: number }
type Ends = { request: number; reason: FinishReason; byPressure: boolean }[]

const numPages = ({ numTokens }: Running): number => Math.ceil((numTokens + 1) / pageSize)

const createFakeSteps = (numSlots: number) => {
  const running = new Map<number, Running>()
  const wanted: { id: number; reason: FinishReason }[] = []
  let listener: (report: StepReport) => void = () => {}
  let numSteps = 0

  const usedPages = (): number => [...running.values()].reduce((sum, r) => sum + numPages(r), 0)

  const end = (ends: Ends, request: number, reason: FinishReason, byPressure = false): void => {
    if (running.delete(request)) ends.push({ request, reason, byPressure })
  }

  const report = (
    ids: readonly number[],
    indices: readonly number[],
    changes: Partial<StepReport>,
  ) =>
    listener({
      step: numSteps++,
      durationMs: 1,
      numPrefillTokens: 0,
      numDecodeRows: ids.length,
      numAdapters: 0,
      tokenRequests: Float64Array.from(ids),
      tokens: Int32Array.from(indices, (index) => 100 + index),
      tokenIndices: Int32Array.from(indices),
      logprobs: null,
      ends: [],
      error: null,
      deviceLost: false,
      ...changes,
    })

  return {
    running,
    onStep: (next: (report: StepReport) => void): void => {
      listener = next
    },
    add: (request: EngineRequest): void => {
      if (request.tokens.length >= maxPositions) {
        throw new EngineError('invalid_request', `tokens: must be fewer than ${maxPositions}`)
      }
      running.set(request.id, { request, numTokens: request.tokens.length })
    },
    want: (id: number, reason: FinishReason): void => {
      wanted.push({ id, reason })
    },
    /** Every running request gets one token; what was wanted or does not fit ends first. */
    step: (changes: Partial<StepReport> = {}): void => {
      const ends: Ends = []
      for (const { id, reason } of wanted.splice(0)) end(ends, id, reason)
      while (usedPages() > numSlots) end(ends, [...running.keys()].at(-1) ?? 0, 'evicted', true)
      const ids = [...running.keys()]
      const indices: number[] = []
      for (const [id, entry] of running) {
        const { request } = entry
        const index = entry.numTokens++ - (request.numPromptTokens ?? request.tokens.length)
        indices.push(index)
        if (index + 1 >= request.maxNewTokens) end(ends, id, 'length')
      }
      report(ids, indices, { ends, ...changes })
    },
    /** A step that fails ends what it held. */
    failStep: (error: string, changes: Partial<StepReport> = {}): void => {
      const ends: Ends = []
      for (const id of [...running.keys()]) end(ends, id, 'error')
      report([], [], { ends, error, ...changes })
    },
    stats: () => ({
      numSteps,
      numRunning: running.size,
      numWaiting: 0,
      pageSize,
      pageBytes: 100,
      numSlots,
      freeSlots: numSlots - usedPages(),
      cachedSlots: 0,
      kvSlots: usedPages(),
    }),
  }
}
