import { fileURLToPath } from 'node:url'
import { createEngine, type Engine, type EngineOptions, type EngineRequest } from '../lib/index.ts'
import type { FinishReason, StepReport, TokenLogprobs } from '../lib/types.ts'

const models = fileURLToPath(new URL('../../../models/', import.meta.url))
export const baseFolder = `${models}base`
const adapterNames = [
  'sql-helper',
  'extract-json',
  'sentiment',
  'french',
  'pirate-tales',
  'bard',
] as const
export const adapterFolder = (name: string): string => `${models}adapters/${name}`

export type Outcome = {
  tokens: number[]
  indices: number[]
  logprobs: (TokenLogprobs | null)[]
  reason: FinishReason
  byPressure: boolean
}

/** A request under way: `first` resolves with its first token, or its end where it has none. */
type Run = { id: number; first: Promise<void>; done: Promise<Outcome> }

export type RunningEngine = AsyncDisposable & {
  engine: Engine
  steps: StepReport[]
  /** Handles of the demo adapters, in the order of `adapterNames`; 0 first. */
  loadAdapters(): Promise<number[]>
  start(request: Omit<EngineRequest, 'id'>): Run
  /** Starts a request and waits for its end. */
  run(request: Omit<EngineRequest, 'id'>): Promise<Outcome>
}

type Entry = Omit<Outcome, 'reason' | 'byPressure'> & {
  resolveFirst: () => void
  resolve: (outcome: Outcome) => void
}

/** An engine of the demo model with small defaults, whose reports are sorted by request. */
export const runEngine = async (options: Partial<EngineOptions> = {}): Promise<RunningEngine> => {
  const engine = await createEngine({
    modelFolder: baseFolder,
    poolBytes: 64 * 1024 ** 2,
    numThreads: 2,
    ...options,
  })
  const entries = new Map<number, Entry>()
  const steps: StepReport[] = []
  let nextId = 1
  engine.onStep((report) => {
    steps.push(report)
    record(entries, report)
  })

  const start = (request: Omit<EngineRequest, 'id'>): Run => {
    const id = nextId++
    engine.submit({ ...request, id })
    const entry = newEntry()
    entries.set(id, entry)
    return {
      id,
      first: new Promise((resolve) => {
        entry.resolveFirst = resolve
      }),
      done: new Promise((resolve) => {
        entry.resolve = resolve
      }),
    }
  }

  return {
    engine,
    steps,
    loadAdapters: async () => [
      0,
      ...(await Promise.all(adapterNames.map((name) => engine.loadAdapter(adapterFolder(name))))),
    ],
    start,
    run: (request) => start(request).done,
    [Symbol.asyncDispose]: () => engine.close(),
  }
}

const newEntry = (): Entry => ({
  tokens: [],
  indices: [],
  logprobs: [],
  resolveFirst: () => {},
  resolve: () => {},
})

const record = (entries: Map<number, Entry>, report: StepReport): void => {
  report.tokenRequests.forEach((id, i) => {
    const entry = entries.get(id)
    if (entry === undefined) throw new Error(`a token of request ${id} after its end`)
    entry.tokens.push(report.tokens[i] ?? Number.NaN)
    entry.indices.push(report.tokenIndices[i] ?? Number.NaN)
    entry.logprobs.push(report.logprobs?.[i] ?? null)
    entry.resolveFirst()
  })
  for (const { request, reason, byPressure } of report.ends) {
    const entry = entries.get(request)
    if (entry === undefined) throw new Error(`a second end of request ${request}`)
    entries.delete(request)
    entry.resolveFirst()
    const { tokens, indices, logprobs } = entry
    entry.resolve({ tokens, indices, logprobs, reason, byPressure })
  }
}

/** Integers below 2^32, the same ones for the same seed (Marsaglia's xorshift32). */
export const randomIntegers = (seed: number): ((limit: number) => number) => {
  let state = seed
  return (limit) => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 0) % limit
  }
}

/** `numTokens` token ids that begin like a text; the others are any of the vocabulary. */
export const randomPrompt = (random: (limit: number) => number, numTokens: number): number[] => [
  1,
  ...Array.from({ length: numTokens - 1 }, () => 3 + random(4093)),
]
