import { answerOf, readStream, type Seen, type StreamSpec } from '../support/streams.ts'
import type { System } from '../support/system.ts'
import type { Random } from './random.ts'

/** What was wrong with an answer, in words. */
type Violation = { stream: number; spec: StreamSpec; what: string }

export type Load = {
  numStreams(): number
  numTokens(): number
  /** Answers that had tokens of more than one node. */
  numMoved(): number
  /** By tenant, what clients were told that their calls used. */
  usage: Map<string, { requests: number; promptTokens: number; generatedTokens: number }>
  violations: Violation[]
  /** Begins no more streams, and resolves when those under way have ended. */
  finish(): Promise<void>
}

type LoadOptions = {
  system: System
  specs: readonly StreamSpec[]
  /** What each of the specs must become. */
  undisturbed: readonly Seen[]
  concurrency: number
  random: Random
  tenantOf: (spec: StreamSpec) => string
}

/** Runs streams one after another, so many at a time, and compares each with its undisturbed run. */
export const startLoad = (options: LoadOptions): Load => {
  const { system, specs, undisturbed, concurrency, random, tenantOf } = options
  const usage: Load['usage'] = new Map()
  const violations: Violation[] = []
  let isWanted = true
  let numBegun = 0
  let numStreams = 0
  let numTokens = 0
  let numMoved = 0

  const charge = (tenant: string, { promptTokens, completionTokens }: Seen): void => {
    const sum = usage.get(tenant) ?? { requests: 0, promptTokens: 0, generatedTokens: 0 }
    usage.set(tenant, {
      requests: sum.requests + 1,
      promptTokens: sum.promptTokens + promptTokens,
      generatedTokens: sum.generatedTokens + completionTokens,
    })
  }
  undisturbed.forEach((seen, i) => {
    const spec = specs[i]
    if (spec !== undefined) charge(tenantOf(spec), seen)
  })

  const runOne = async (): Promise<void> => {
    const i = random.below(specs.length)
    const [spec, expected] = [specs[i], undisturbed[i]]
    if (spec === undefined || expected === undefined) throw new Error('there are no streams')
    const stream = numBegun++
    try {
      const seen = await readStream(system, spec)
      charge(tenantOf(spec), seen)
      numTokens += seen.tokens.length
      if (seen.nodes.length > 1) numMoved++
      const what = difference(seen, expected)
      if (what !== null) violations.push({ stream, spec, what })
    } catch (err) {
      violations.push({ stream, spec, what: `failed: ${String(err)}` })
    }
    numStreams++
  }
  const worker = async (): Promise<void> => {
    while (isWanted) await runOne()
  }
  const workers = Promise.all(Array.from({ length: concurrency }, worker))

  return {
    numStreams: () => numStreams,
    numTokens: () => numTokens,
    numMoved: () => numMoved,
    usage,
    violations,
    finish: async () => {
      isWanted = false
      await workers
    },
  }
}

/** Where two runs of a stream differ, token for token; null: nowhere. */
const difference = (seen: Seen, expected: Seen): string | null => {
  const { tokens } = expected
  const at = tokens.findIndex((token, i) => seen.tokens[i] !== token)
  if (at >= 0) {
    const got = seen.tokens.slice(at, at + 4)
    return `token ${at} of ${tokens.length}: ${JSON.stringify(got)} instead of ${JSON.stringify(tokens.slice(at, at + 4))}`
  }
  if (seen.tokens.length > tokens.length) {
    return `${seen.tokens.length} tokens instead of ${tokens.length}`
  }
  const [a, b] = [answerOf(seen), answerOf(expected)].map((answer) => JSON.stringify(answer))
  return a === b ? null : 'the same tokens, with another text, reason or count'
}
