import { channels, type UsageEvent } from '@punica/schema'
import { pino } from '@punica/service'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Harness, startHarness } from '../testing/harness.ts'
import { countUsage, forgetCounted } from './count-usage.ts'

let harness: Harness
beforeAll(async () => {
  harness = await startHarness()
  await harness.createTenant('acme')
})
afterAll(() => harness.stop())

const digest = 'a'.repeat(64)
const atNine = Date.UTC(2026, 0, 1, 9, 30)

const event = (changes: Partial<UsageEvent> = {}): UsageEvent => ({
  requestId: 'r1',
  tenant: 'acme',
  adapterDigest: digest,
  pool: 'default',
  nodeId: 'n',
  timeMs: atNine,
  promptTokens: 10,
  fromIndex: 0,
  toIndex: 5,
  ...changes,
})

const records = async () =>
  (
    await harness.db.usageRecord.findMany({ orderBy: [{ hour: 'asc' }, { adapterDigest: 'asc' }] })
  ).map(({ adapterDigest, hour, requests, promptTokens, generatedTokens }) => [
    adapterDigest,
    hour.getUTCHours(),
    Number(requests),
    Number(promptTokens),
    Number(generatedTokens),
  ])

test('events add up by adapter and hour, and each of them once', async () => {
  const moved = event({ fromIndex: 5, toIndex: 9, promptTokens: 0 })
  const base = event({ requestId: 'r2', adapterDigest: null, timeMs: atNine + 3600_000 })
  const stranger = event({ requestId: 'r3', tenant: 'nobody' })
  const absurd = [
    event({ requestId: 'r5', timeMs: 2 ** 53 - 1 }),
    event({ requestId: 'r6', fromIndex: 9 }),
    event({ requestId: 'r7', toIndex: 2 ** 40 }),
  ]
  const events = [event(), moved, base, stranger, event(), moved, ...absurd]
  const deps = { db: harness.db, log: pino({ level: 'silent' }) }
  await Promise.all(events.map((each) => countUsage(deps, each)))
  expect(await records()).toEqual([
    [digest, 9, 1, 10, 9],
    ['', 10, 1, 10, 5],
  ])
})

test('what nodes store in the stream is counted', async () => {
  const late = event({ requestId: 'r4', timeMs: atNine + 2 * 3600_000 })
  await harness.bus.store(channels.usage('acme'), late, { id: 'r4:0' })
  await expect.poll(records).toContainEqual([digest, 11, 1, 10, 5])
})

test('that an event was counted is forgotten after the stream has forgotten it', async () => {
  const countedAt = new Date(Date.now() - 36 * 24 * 3600_000)
  await harness.db.countedUsage.updateMany({ where: { requestId: 'r1' }, data: { countedAt } })
  await forgetCounted(harness.db)
  const left = await harness.db.countedUsage.findMany({ select: { requestId: true } })
  expect(left.map(({ requestId }) => requestId).sort()).toEqual(['r2', 'r3', 'r4'])
})
