import { errorCodes, errors } from '@punica/schema'
import OpenAI from 'openai'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { untilIdle } from './support/nodes.ts'
import { untilLed } from './support/routers.ts'
import { answerOf, mixedStreams, readAlone, readStream, type Seen } from './support/streams.ts'
import { type System, startSystem } from './support/system.ts'

const numStreams = 40
/** When every stream has so many tokens, the fault comes. */
const numTokensBefore = 10
const kinds = mixedStreams(200)
const specs = Array.from({ length: numStreams }, (_, i) => kinds[i % kinds.length] ?? kinds[0])

let system: System
let undisturbed: Omit<Seen, 'nodes'>[]

beforeAll(async () => {
  system = await startSystem({ numNodes: 3, numRouters: 2, maxRestartDelayMs: 250 })
  const alone = (await readAlone(system, kinds)).map(answerOf)
  undisturbed = specs.flatMap((_, i) => alone[i % alone.length] ?? [])
})

afterAll(async () => {
  await system?.stop()
})

/** An answer to its end, or the code of the error that ended it. */
type Outcome = Omit<Seen, 'nodes'> | { code: string | null | undefined }

const outcomeOf = (cause: unknown): Outcome => {
  if (!(cause instanceof OpenAI.APIError)) throw cause
  return { code: cause.code }
}

const mayBeRetried = (code: string | null | undefined): boolean =>
  errorCodes.some((known) => known === code && errors[known].retryable)

/** Runs all streams by the official client; the fault comes when none has ended and all have begun. */
const readThrough = async (fault: (nodeId: string) => Promise<unknown>): Promise<Outcome[]> => {
  let numBegun = 0
  let faulted: Promise<unknown> | undefined
  const outcomes = await Promise.all(
    specs.map((spec) => {
      if (spec === undefined) throw new Error('there are no streams')
      const onToken = (numTokens: number, nodeId: string): void => {
        if (numTokens === numTokensBefore && ++numBegun === numStreams) faulted = fault(nodeId)
        // It is awaited only after the streams; until then its failure must not end the process.
        faulted?.catch(() => {})
      }
      return readStream(system, spec, { onToken }).then(answerOf, outcomeOf)
    }),
  )
  if (faulted === undefined) throw new Error('a stream ended before all had begun')
  await faulted
  return outcomes
}

/** Each is whole and as it is without a fault, or ended by an error that says to try again. */
const expectSound = (outcomes: readonly Outcome[]): void => {
  for (const [i, outcome] of outcomes.entries()) {
    if ('code' in outcome) expect(mayBeRetried(outcome.code), String(outcome.code)).toBe(true)
    else expect(outcome).toEqual(undisturbed[i])
  }
}

const numWhole = (outcomes: readonly Outcome[]): number =>
  outcomes.filter((outcome) => !('code' in outcome)).length

const end = async (names: readonly string[], signal: NodeJS.Signals): Promise<void> => {
  await Promise.all(
    names.map((name) => {
      const service = system.cluster.service(name)
      const restarted = service.untilRestarted()
      service.kill(signal)
      return restarted
    }),
  )
}

test('NATS killed under 40 streams: each goes on where it was', async () => {
  const outcomes = await readThrough(async () => {
    const restarted = system.cluster.nats?.untilRestarted()
    system.cluster.nats?.kill()
    await restarted
  })
  expectSound(outcomes)
  expect(numWhole(outcomes)).toBe(numStreams)
})

test('the leading router killed under 40 streams: each goes on', async () => {
  await untilIdle(system)
  const leader = await untilLed(system)
  const outcomes = await readThrough(() => end([leader], 'SIGKILL'))
  expectSound(outcomes)
  expect(numWhole(outcomes)).toBe(numStreams)
})

test('a node killed under 40 streams: each goes on elsewhere', async () => {
  await untilIdle(system)
  await untilLed(system)
  const outcomes = await readThrough((nodeId) => end([nodeId], 'SIGKILL'))
  expectSound(outcomes)
  expect(numWhole(outcomes)).toBe(numStreams)
})

test('a gateway told to stop ends its 40 streams in order, and refuses what comes later', async () => {
  await untilIdle(system)
  let late: Outcome | undefined
  const outcomes = await readThrough(async () => {
    const restarted = end(['gateway'], 'SIGTERM')
    const [spec] = kinds
    if (spec === undefined) throw new Error('there are no streams')
    // By a signal that has not arrived yet it is served still.
    while (late === undefined || !('code' in late)) {
      late = await readStream(system, { ...spec, maxTokens: 1 }).then(answerOf, outcomeOf)
    }
    await restarted
  })
  expectSound(outcomes)
  expect(numWhole(outcomes)).toBe(numStreams)
})

test('after all of that every stream is as before', async () => {
  await untilIdle(system)
  const outcomes = await readThrough(async () => {})
  expect(outcomes).toEqual(undisturbed)
})
