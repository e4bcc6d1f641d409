// An engine that computes nothing: every sequence gets one token at each step, and steps are due at
// fixed times. It stands where the native engine stands, so that what a token costs outside of the
// engine can be measured.
import {
  type Engine,
  EngineError,
  type EngineRequest,
  type FinishReason,
  type ModelInfo,
  type StepReport,
} from '@punica/native-sgmv'
import { dueMs, nextStep, nowMs, scheduleOf, tokenOfStep } from './schedule.ts'

export { EngineError }

const pageSize = 16
const pageBytes = 1_024
const numSlots = 1_000_000

const model: ModelInfo = {
  architecture: 'stub',
  numLayers: 1,
  hiddenSize: 8,
  numHeads: 1,
  numKvHeads: 1,
  headDim: 8,
  intermediateSize: 8,
  vocabSize: 4_096,
  maxPositions: 1_024,
}

type Running = { request: EngineRequest; numGenerated: number }

/** As the package's own; what it needs to know comes by the environment of the process. */
export const createEngine = async (): Promise<Engine> => {
  const { NODE_ID = '', STUB_NODES, STUB_PERIOD_MS } = process.env
  const node = Number(NODE_ID.replace('node-', '')) - 1
  const schedule = scheduleOf(node, Number(STUB_NODES), Number(STUB_PERIOD_MS))
  const running = new Map<number, Running>()
  const ends: StepReport['ends'][number][] = []
  let listener: (report: StepReport) => void = () => {}
  let numSteps = 0
  let timer: NodeJS.Timeout | undefined

  const end = (request: number, reason: FinishReason): void => {
    if (running.delete(request)) ends.push({ request, reason, byPressure: false })
  }

  const stepOnce = (step: number): void => {
    const token = tokenOfStep(step)
    const ids = Float64Array.from(running.keys())
    const indices = new Int32Array(running.size)
    let numPrefillTokens = 0
    let i = 0
    for (const [id, entry] of running) {
      const { tokens, numPromptTokens = tokens.length, maxNewTokens } = entry.request
      if (entry.numGenerated === tokens.length - numPromptTokens) numPrefillTokens += tokens.length
      indices[i++] = entry.numGenerated++
      if (entry.numGenerated >= maxNewTokens) end(id, 'length')
    }
    if (ids.length === 0 && ends.length === 0) return
    listener({
      step: numSteps++,
      durationMs: schedule.periodMs,
      numPrefillTokens,
      numDecodeRows: ids.length,
      numAdapters: 0,
      tokenRequests: ids,
      tokens: new Int32Array(ids.length).fill(token),
      tokenIndices: indices,
      logprobs: null,
      ends: ends.splice(0),
      error: null,
      deviceLost: false,
    })
  }

  /** A step that is late is made all the same, and the steps after it are due when they were. */
  const runFrom = (step: number): void => {
    timer = setTimeout(
      () => {
        // A timer may go off a fraction of a millisecond early.
        while (nowMs() < dueMs(schedule, step));
        stepOnce(step)
        runFrom(step + 1)
      },
      Math.max(0, dueMs(schedule, step) - nowMs()),
    )
  }
  runFrom(nextStep(schedule, nowMs()))

  return {
    model,
    backend: 'cpu',
    description: `stub engine, a step every ${schedule.periodMs} ms`,
    weightBytes: 1,
    readBytesPerSecond: null,
    onStep: (next) => {
      listener = next
    },
    loadAdapter: async () => 1,
    loadRandomAdapter: () => 1,
    unloadAdapter: () => {},
    pinAdapter: () => {},
    submit: (request) => {
      const { tokens, numPromptTokens = tokens.length } = request
      running.set(request.id, { request, numGenerated: tokens.length - numPromptTokens })
    },
    cancel: (id) => end(id, 'cancelled'),
    evict: (id) => end(id, 'evicted'),
    stats: () => {
      let kvSlots = 0
      for (const { request, numGenerated } of running.values()) {
        const { tokens, numPromptTokens = tokens.length } = request
        kvSlots += Math.ceil((numPromptTokens + numGenerated + 1) / pageSize)
      }
      return {
        numSteps,
        numRunning: running.size,
        numWaiting: 0,
        pageSize,
        pageBytes,
        numSlots,
        freeSlots: numSlots - kvSlots,
        cachedSlots: 0,
        kvSlots,
        adapterSlots: 0,
        numAdapterCopies: 0,
        hostAdapterBytes: 0,
        adapters: [],
      }
    },
    close: async () => clearTimeout(timer),
  }
}
