import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { countTokens, type NodeView, untilBusy, untilIdle } from './support/nodes.ts'
import { answerOf, mixedStreams, readStream } from './support/streams.ts'
import { type System, startSystem } from './support/system.ts'

const numChoices = 16
const maxTokens = 1_000
/** On two cores, these many tokens take several times as long. */
const requestTimeoutMs = 700

let system: System
let idle: NodeView[]

beforeAll(async () => {
  system = await startSystem({
    numNodes: 1,
    settings: { gateway: { REQUEST_TIMEOUT_MS: String(requestTimeoutMs) } },
  })
  // The base model holds no page but for requests; what a cached prefix holds counts as free.
  idle = await untilIdle(system)
})

beforeEach(async () => {
  await untilIdle(system)
})

afterAll(async () => {
  await system?.stop()
})

const startLong = () =>
  system.openai(system.keys.acme).completions.create({
    model: system.cluster.baseModel,
    prompt: 'Once',
    max_tokens: maxTokens,
    n: numChoices,
    stream: true,
    ...{ ignore_eos: true },
  })

const freePages = (nodes: readonly NodeView[]): number[] => nodes.map((node) => node.freePages)

test('a deadline that passes ends the request and frees its pages', async () => {
  const numMade = await countTokens(system, async () => {
    const read = async (): Promise<void> => {
      for await (const _ of await startLong()) {
        // Read to its end.
      }
    }
    await expect(read()).rejects.toMatchObject({ code: 'deadline_exceeded' })
  })
  expect(numMade).toBeGreaterThan(0)
  expect(numMade).toBeLessThan(numChoices * maxTokens)
  expect(freePages(await untilIdle(system))).toEqual(freePages(idle))
})

test('the requests of a gateway that is killed are cancelled, and their pages are free', async () => {
  const [spec] = mixedStreams(60)
  if (spec === undefined) throw new Error('there are no streams')
  const undisturbed = await readStream(system, spec)
  const gateway = system.cluster.service('gateway')
  const numMade = await countTokens(system, async () => {
    const stream = await startLong()
    await Promise.all([stream[Symbol.asyncIterator]().next(), untilBusy(system)])
    const back = gateway.untilRestarted()
    gateway.kill()
    await back
  })
  expect(numMade).toBeLessThan(numChoices * maxTokens)
  // The adapter of the stream before is idle, and so as good as free.
  expect(freePages(await untilIdle(system))).toEqual(freePages(idle))
  expect(answerOf(await readStream(system, spec))).toEqual(answerOf(undisturbed))
})
