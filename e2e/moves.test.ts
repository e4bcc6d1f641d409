import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { listen, readAll, readDisturbed } from './support/disturb.ts'
import { untilIdle } from './support/nodes.ts'
import { untilLed } from './support/routers.ts'
import { answerOf, mixedStreams, readAlone, readStream, type Seen } from './support/streams.ts'
import { type System, startSystem } from './support/system.ts'
import { followUsage } from './support/usage.ts'

/** Room for the adapters and about two of the streams: whatever runs here runs short of pages. */
const poolBytes = 16 * 1024 ** 2
const specs = mixedStreams(400)

let system: System
let undisturbed: Omit<Seen, 'nodes'>[]

beforeAll(async () => {
  system = await startSystem({
    numRouters: 2,
    settings: { 'gpu-node': { POOL_BYTES: String(poolBytes) } },
  })
  undisturbed = (await readAlone(system, specs)).map(answerOf)
})

beforeEach(async () => {
  await untilIdle(system)
})

afterAll(async () => {
  await system?.stop()
})

/** No token lost, said twice, out of order, or another one. */
const expectUndisturbed = (seen: readonly Seen[]): void => {
  expect(seen.map(answerOf)).toEqual(undisturbed)
}

const numMoved = (seen: readonly Seen[]): number =>
  seen.filter(({ nodes }) => nodes.length > 1).length

test('undisturbed streams have as many tokens as were asked for', () => {
  for (const [i, { tokens, text, finishReason, completionTokens }] of undisturbed.entries()) {
    expect(tokens).toHaveLength(specs[i]?.maxTokens ?? 0)
    expect([finishReason, completionTokens]).toEqual(['length', tokens.length])
    expect(text).not.toBe('')
  }
})

test('streams that run short of pages are evicted and go on as if they had not been', async () => {
  const heard = await listen(system)
  try {
    expectUndisturbed(await readAll(system, specs))
    const evicted = heard.ends.filter(
      ({ reason, byPressure }) => reason === 'evicted' && byPressure,
    )
    expect(evicted.length).toBeGreaterThan(0)
    expect(heard.decisions.map(({ kind }) => kind)).toContain('evict')
  } finally {
    await heard.close()
  }
})

/** Ends services, which are started again; resolves when all are back. */
const endAll = async (names: string[], signal: NodeJS.Signals): Promise<void> => {
  const services = names.map((name) => system.cluster.service(name))
  const back = services.map((service) => service.untilRestarted())
  for (const service of services) service.kill(signal)
  await Promise.all(back)
}

test.each(['SIGKILL', 'SIGTERM'] as const)(
  'streams go on elsewhere when their node ends by %s, and each token is billed once',
  async (signal) => {
    const usage = await followUsage(system)
    try {
      const { seen } = await readDisturbed(system, specs, (nodeId) => endAll([nodeId], signal))
      expectUndisturbed(seen)
      expect(numMoved(seen)).toBeGreaterThan(0)
      const billed = await usage.untilClosed(specs.length)
      expect(billed.map(({ completionTokens }) => completionTokens)).toEqual(
        specs.map(({ maxTokens }) => maxTokens),
      )
    } finally {
      await usage.close()
    }
  },
)

test('a client that leaves as its node is killed pays for what it was sent', async () => {
  const usage = await followUsage(system)
  const client = new AbortController()
  const [spec, ...others] = specs
  if (spec === undefined) throw new Error('there are no streams')
  let numSent = 0
  let killed: Promise<void> | undefined
  const onToken = (numTokens: number, nodeId: string): void => {
    numSent = numTokens
    if (numTokens < 30 || killed !== undefined) return
    killed = endAll([nodeId], 'SIGKILL')
    client.abort()
  }
  try {
    const [{ finishReason }, seen] = await Promise.all([
      readStream(system, spec, { onToken, signal: client.signal }),
      readAll(system, others),
    ])
    expect(finishReason).toBeNull()
    expect(seen.map(answerOf)).toEqual(undisturbed.slice(1))
    await killed
    const billed = (await usage.untilClosed(specs.length)).map((event) => event.completionTokens)
    const left = billed.filter((numTokens) => numTokens < spec.maxTokens)
    // What was on its way when the client left is paid for, and nothing else.
    expect(left).toEqual([expect.any(Number)])
    expect(left[0]).toBeGreaterThanOrEqual(numSent)
    expect(billed).toHaveLength(specs.length)
  } finally {
    await usage.close()
  }
})

test.each(['SIGKILL', 'SIGTERM'] as const)(
  'streams go on when the leading router ends by %s, and others begin under the next',
  async (signal) => {
    const { seen, disturbance } = await readDisturbed(system, specs, async () => {
      const leader = await untilLed(system)
      const back = endAll([leader], signal)
      // These find no leader at first.
      const [others] = await Promise.all([readAll(system, specs), back])
      return { others, leader, next: await untilLed(system) }
    })
    expectUndisturbed(seen)
    expectUndisturbed(disturbance.others)
    expect(disturbance.next).not.toBe(disturbance.leader)
  },
)

test('streams go on when their node and the leading router are killed at once', async () => {
  const { seen } = await readDisturbed(system, specs, async (nodeId) =>
    endAll([await untilLed(system), nodeId], 'SIGKILL'),
  )
  expectUndisturbed(seen)
  expect(numMoved(seen)).toBeGreaterThan(0)
})
