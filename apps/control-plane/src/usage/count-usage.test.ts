import { connectBus, type StreamMessage, type StreamPosition } from '@punica/bus'
import { startNatsServer } from '@punica/bus/testing'
import { channels, type UsageEvent } from '@punica/schema'
import { pino } from '@punica/service'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { type Harness, startHarness } from '../testing/harness.ts'
import { countUsage, forgetCounted, usagePosition } from './count-usage.ts'

let harness: Harness
beforeAll(async () => {
  harness = await startHarness()
  await harness.createTenant('acme')
})
afterAll(() => harness.stop())
beforeEach(async () => {
  await harness.db.usageRecord.deleteMany()
  await harness.db.usageMark.deleteMany()
  await harness.db.streamPosition.deleteMany()
})

const digest = 'a'.repeat(64)
const hourMs = 3600_000
const atNine = Date.UTC(2026, 0, 1, 9, 30)
const created = '2026-01-01T00:00:00.123456789Z'

const event = (changes: Partial<UsageEvent> = {}): UsageEvent => ({
  requestId: 'r1',
  tenant: 'acme',
  adapterDigest: digest,
  pool: 'default',
  gatewayId: 'gw',
  timeMs: atNine,
  promptTokens: 10,
  completionTokens: 5,
  final: false,
  ...changes,
})

/** Events as the stream has them, the first under number `from`, taken a second after one another. */
const stream = (events: readonly UsageEvent[], from = 1): StreamMessage<UsageEvent>[] =>
  events.map((value, i) => ({
    subject: channels.usage(value.tenant).subject,
    seq: from + i,
    timeMs: atNine + (from + i) * 1_000,
    value,
  }))

const count = (messages: readonly StreamMessage<UsageEvent>[], position?: StreamPosition) =>
  countUsage(
    { db: harness.db, log: pino({ level: 'silent' }), refusals: { refuse: () => {} } },
    messages,
    position ?? { created, seq: messages.at(-1)?.seq ?? 0 },
  )

const recordsOf = async ({ db }: Pick<Harness, 'db'>) =>
  (await db.usageRecord.findMany({ orderBy: [{ hour: 'asc' }, { adapterDigest: 'asc' }] })).map(
    ({ adapterDigest, hour, requests, promptTokens, generatedTokens }) => [
      adapterDigest,
      hour.getUTCHours(),
      Number(requests),
      Number(promptTokens),
      Number(generatedTokens),
    ],
  )
const records = () => recordsOf(harness)

test('a call adds what it has grown by, to the hour in which it did', async () => {
  await count(
    stream([
      event({ completionTokens: 5 }),
      event({ requestId: 'r2', adapterDigest: null, completionTokens: 0, final: true }),
      event({ completionTokens: 12, timeMs: atNine + hourMs }),
    ]),
  )
  await count(stream([event({ completionTokens: 20, timeMs: atNine + hourMs, final: true })], 4))
  expect(await records()).toEqual([
    ['', 9, 1, 10, 0],
    [digest, 9, 1, 10, 5],
    [digest, 10, 0, 0, 15],
  ])
})

test('repeated, late and replayed events change nothing', async () => {
  const events = [5, 9, 9, 5, 12, 5, 9].map((completionTokens) => event({ completionTokens }))
  const messages = stream([...events, event({ completionTokens: 12, final: true })])
  await count(messages)
  await count(messages)
  await count(messages.slice(3, 6), { created, seq: 6 })
  expect(await records()).toEqual([[digest, 9, 1, 10, 12]])
  expect(await usagePosition(harness.db)).toEqual({ created, seq: 8 })
})

test('how long clients waited is counted with the end of each call, once', async () => {
  const latency = { firstTokenMs: 300, generationMs: 900 }
  const ended = event({ completionTokens: 10, final: true, latency })
  const messages = stream([
    event({ completionTokens: 4 }),
    ended,
    ended,
    event({ requestId: 'r2', completionTokens: 1, final: true, latency }),
    event({ requestId: 'r3', completionTokens: 0, final: true }),
  ])
  await count(messages)
  await count(messages)
  const [row] = await harness.db.usageRecord.findMany()
  expect(row).toMatchObject({
    requests: 3n,
    timedRequests: 2n,
    firstTokenMs: 600n,
    generationMs: 1_800n,
    tokenGaps: 9n,
  })
})

test('control planes that count at the same time count once', async () => {
  const messages = stream(
    Array.from({ length: 200 }, (_, i) =>
      event({ requestId: `r${i % 40}`, completionTokens: 1 + i, final: i >= 160 }),
    ),
  )
  const chunks = (size: number) =>
    Array.from({ length: Math.ceil(200 / size) }, (_, i) =>
      messages.slice(size * i, size * (i + 1)),
    )
  await Promise.all(
    [7, 16, 50].map(async (size) => {
      for (const chunk of chunks(size)) await count(chunk)
    }),
  )
  // The last event of call i is that with 161 + i tokens.
  const generated = Array.from({ length: 40 }, (_, i) => 161 + i).reduce((a, b) => a + b)
  expect(await records()).toEqual([[digest, 9, 40, 400, generated]])
})

test('what fails is counted as little as if it had not been tried', async () => {
  const broken = event({ requestId: 'nul \0', completionTokens: 3 })
  await expect(count(stream([event(), broken]))).rejects.toThrow()
  expect(await records()).toEqual([])
  expect(await usagePosition(harness.db)).toBeNull()
})

test('what no call can have used is passed over, and a stranger pays for nobody', async () => {
  const [forged] = stream([event({ requestId: 'r4' })])
  await count([
    ...stream([
      event({ requestId: 'r1', timeMs: 2 ** 53 - 1 }),
      event({ requestId: 'r2', completionTokens: 2 ** 40 }),
      event({ requestId: 'r3', tenant: 'nobody' }),
    ]),
    ...(forged === undefined ? [] : [{ ...forged, seq: 4, subject: 'punica.usage.globex' }]),
  ])
  expect(await records()).toEqual([])
  expect((await usagePosition(harness.db))?.seq).toBe(4)
})

test('a stream that was made anew is counted from its beginning, and the old one no more', async () => {
  await count(stream([event()]), { created, seq: 900 })
  const later = '2026-01-02T00:00:00Z'
  await count(stream([event({ completionTokens: 8 })]), { created: later, seq: 1 })
  await expect(count(stream([event({ completionTokens: 9 })], 901))).rejects.toThrow('made anew')
  expect(await records()).toEqual([[digest, 9, 1, 10, 8]])
  expect(await usagePosition(harness.db)).toEqual({ created: later, seq: 1 })
})

test('a call is forgotten once no event of it can come, by the clock of the stream', async () => {
  const at = (hours: number, requestId: string, final: boolean) => {
    const [message] = stream([event({ requestId, final })])
    return message === undefined ? [] : [{ ...message, timeMs: atNine + hours * hourMs }]
  }
  const messages = [
    ...at(0, 'open-for-a-day', false),
    ...at(0, 'ended-long-ago', true),
    ...at(20, 'open', false),
    ...at(24.5, 'ended', true),
    ...at(25, 'newest', true),
  ]
  await count(messages.map((message, i) => ({ ...message, seq: i + 1 })))
  await forgetCounted(harness.db)
  const left = await harness.db.usageMark.findMany({ orderBy: { requestId: 'asc' } })
  expect(left.map(({ requestId }) => requestId)).toEqual(['ended', 'newest', 'open'])
})

test('a stream of a real server is counted once, whatever becomes of the server', async () => {
  await using server = await startNatsServer()
  const bus = await connectBus({ url: server.url })
  const own = await startHarness({ bus: await connectBus({ url: server.url }) })
  await own.createTenant('acme')
  const store = (requestId: string, completionTokens: number, id: string): Promise<void> =>
    bus
      .store(channels.usage('acme'), event({ requestId, completionTokens }), { id })
      .catch(() => store(requestId, completionTokens, id))
  try {
    for (let i = 0; i < 50; i++) await store(`r${i}`, 3, `r${i}:3`)
    await server.kill()
    await server.start()
    // The same again, as a sender does that was never told; the server no longer knows the ids.
    for (let i = 0; i < 50; i++) await store(`r${i}`, 3, `r${i}:3 again`)
    for (let i = 0; i < 50; i++) await store(`r${i}`, 7, `r${i}:7`)
    await expect
      .poll(() => recordsOf(own), { timeout: 20_000 })
      .toEqual([[digest, 9, 50, 500, 350]])
  } finally {
    await own.stop()
    await own.bus.close()
    await bus.close()
  }
})
