import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { EngineOptions, EngineRequest } from '../lib/index.ts'
import {
  type Outcome,
  type RunningEngine,
  randomIntegers,
  randomPrompt,
  runEngine,
} from './running-engine.ts'

type Request = Omit<EngineRequest, 'id'>

const maxNewTokens = 24

/** Two requests for the base model and each adapter: one greedy, one sampled with everything on. */
const makeRequests = (handles: readonly number[]): Request[] => {
  const random = randomIntegers(42)
  return handles.flatMap((adapter, i) => [
    {
      adapter,
      tokens: randomPrompt(random, 1 + random(150)),
      maxNewTokens,
      sampling: { numLogprobs: 2 },
    },
    {
      adapter,
      tokens: randomPrompt(random, 1 + random(40)),
      maxNewTokens,
      sampling: {
        temperature: 0.9,
        topK: 200,
        topP: 0.95,
        minP: 0.001,
        repetitionPenalty: 1.1,
        presencePenalty: 0.2,
        frequencyPenalty: 0.1,
        logitBias: [[17, 1.5]],
        seed: 2n ** 63n + BigInt(i),
        numLogprobs: 0,
      },
    },
  ])
}

const runAlone = async ({ run }: RunningEngine, requests: readonly Request[]) => {
  const outcomes: Outcome[] = []
  for (const request of requests) outcomes.push(await run(request))
  return outcomes
}

/** Of each request: its tokens, indices and, to the last bit, log-probabilities. */
let alone: Outcome[] = []

const withRequests = async (
  options: Partial<EngineOptions>,
  body: (running: RunningEngine, requests: readonly Request[]) => Promise<void>,
): Promise<void> => {
  await using running = await runEngine(options)
  await body(running, makeRequests(await running.loadAdapters()))
}

beforeAll(async () => {
  await withRequests({}, async (running, requests) => {
    const outcomes = await runAlone(running, requests)
    expect(outcomes.every(({ reason }) => reason === 'length')).toBe(true)
    expect(outcomes[0]?.indices).toEqual(Array.from({ length: maxNewTokens }, (_, i) => i))
    alone = outcomes
    const distinct = new Set(alone.map(({ tokens }) => String(tokens)))
    expect(distinct.size).toBe(requests.length)
  })
})

afterAll(() => {
  alone = []
})

describe('the tokens of a request are those of its run alone', () => {
  test.each([
    ['in one batch with all others', { maxBatchSize: 14 }],
    ['with prompts cut into small chunks', { maxBatchSize: 4, maxStepTokens: 5 }],
    ['with chunks that match no page', { maxBatchSize: 8, maxStepTokens: 17 }],
    ['with prompts held back by a target that no step meets', { targetStepMs: 1e-6 }],
    ['on one thread', { numThreads: 1 }],
    ['with a pool that holds few adapters at a time', { poolBytes: 5 * 1024 ** 2 }],
  ])('%s', async (_, options) => {
    await withRequests(options, async ({ run }, requests) => {
      // Where the pool is too small for all, the engine evicts and the caller goes on elsewhere:
      // here, in the same engine.
      const outcomes = await Promise.all(requests.map((request) => runToEnd(run, request)))
      expect(outcomes).toEqual(alone)
    })
  })

  test('when it is evicted again and again and goes on from what it had', async () => {
    await withRequests({}, async ({ engine, start }, requests) => {
      const outcomes = await Promise.all(
        requests.map((request) => {
          let numMoves = 0
          const startAndEvict = async (part: Request): Promise<Outcome> => {
            const { id, first, done } = start(part)
            await first
            if (numMoves++ < 4) engine.evict(id)
            return await done
          }
          return runToEnd(startAndEvict, request)
        }),
      )
      expect(outcomes).toEqual(alone)
    })
  })

  test('when it reads pages that another request computed', async () => {
    await withRequests({}, async (running, requests) => {
      const shared = requests.map((request) => ({ ...request, cacheKey: 'tenant' }))
      const prefillOf = async (): Promise<number> => {
        const numBefore = running.steps.length
        expect(await runAlone(running, shared)).toEqual(alone)
        return running.steps
          .slice(numBefore)
          .reduce((sum, { numPrefillTokens }) => sum + numPrefillTokens, 0)
      }
      const cold = await prefillOf()
      const warm = await prefillOf()
      expect(cold).toBeGreaterThan(500)
      expect(warm).toBeLessThan(16 * requests.length)
      expect(running.engine.stats().kvSlots).toBe(0)
    })
  })
})

/** Submits again, with what it has, a request that was evicted. */
const runToEnd = async (
  run: (request: Request) => Promise<Outcome>,
  request: Request,
): Promise<Outcome> => {
  const parts: Outcome[] = []
  const tokens = (): number[] => parts.flatMap((part) => part.tokens)
  while (true) {
    const outcome = await run({
      ...request,
      tokens: [...request.tokens, ...tokens()],
      numPromptTokens: request.tokens.length,
    })
    parts.push(outcome)
    if (outcome.reason === 'evicted') continue
    const indices = parts.flatMap((part) => part.indices)
    const logprobs = parts.flatMap((part) => part.logprobs)
    return { ...outcome, tokens: tokens(), indices, logprobs }
  }
}
