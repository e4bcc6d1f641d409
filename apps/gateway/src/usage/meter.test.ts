import type { UsageEvent } from '@punica/schema'
import { expect, test } from 'vitest'
import { createMeter } from './meter.ts'

const call = { requestId: 'c1', tenant: 'acme', adapterDigest: null, promptTokens: 7 }

const start = () => {
  const events: UsageEvent[] = []
  let nowMs = 0
  const meter = createMeter({
    pool: 'default',
    gatewayId: 'gw',
    clock: () => nowMs,
    record: (event) => events.push(event),
  })
  return {
    meter,
    /** [time, completion tokens, final] of each event so far. */
    seen: () =>
      events.map(({ timeMs, completionTokens, final }) => [timeMs, completionTokens, final]),
    events,
    at: (ms: number) => {
      nowMs = ms
      meter.tick(nowMs)
    },
  }
}

test('a call is reported when it ends, whole', () => {
  const { meter, events } = start()
  const account = meter.open(call)
  account.deliver(1)
  account.deliver(2)
  account.close()
  account.close()
  expect(events).toEqual([
    {
      ...call,
      pool: 'default',
      gatewayId: 'gw',
      timeMs: 0,
      completionTokens: 2,
      final: true,
      latency: { firstTokenMs: 0, generationMs: 0 },
    },
  ])
})

test('and now and then before that, where it has grown', () => {
  const { meter, at, seen } = start()
  const account = meter.open(call)
  at(9_999)
  account.deliver(4)
  at(10_000)
  account.deliver(5)
  at(19_000)
  at(20_000)
  at(40_000)
  account.close()
  at(60_000)
  expect(seen()).toEqual([
    [10_000, 4, false],
    [20_000, 5, false],
    [40_000, 5, true],
  ])
})

test('an answer without tokens still has a prompt; a call without an answer costs nothing', () => {
  const { meter, seen } = start()
  const empty = meter.open(call)
  empty.deliver(0)
  empty.close()
  meter.open(call).close()
  expect(seen()).toEqual([[0, 0, true]])
})

test('the last report says how long the client waited', () => {
  const { meter, at, events } = start()
  const account = meter.open(call)
  account.deliver(0)
  at(300)
  account.deliver(1)
  at(10_000)
  account.deliver(9)
  at(12_000)
  account.close()
  expect(events.map(({ final, latency }) => [final, latency])).toEqual([
    [false, undefined],
    [true, { firstTokenMs: 300, generationMs: 9_700 }],
  ])
})
