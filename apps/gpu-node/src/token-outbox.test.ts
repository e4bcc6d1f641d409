import { memoryBus } from '@punica/bus'
import { channels, limits, type TokenBatch } from '@punica/schema'
import { expect, test } from 'vitest'
import { createTokenOutbox } from './token-outbox.ts'

const start = () => {
  const bus = memoryBus()
  const received: TokenBatch[] = []
  bus.subscribe(channels.tokens('gw'), (batch) => received.push(batch))
  const outbox = createTokenOutbox({ bus, nodeId: 'n', incarnation: 'i' })
  const send = (gatewayId: string, token: number, nowMs = 0) => {
    const tokens = [{ requestId: 'r', attempt: 0, index: token, token }]
    outbox.send(gatewayId, { batchSize: 1, numAdapters: 0, tokens, ends: [] }, nowMs)
  }
  const replay = (fromSeq: number, toSeq: number, incarnation = 'i') => {
    const reply = outbox.replay({ gatewayId: 'gw', incarnation, fromSeq, toSeq })
    return reply.type === 'gone' ? 'gone' : reply.batches.map(({ seq }) => seq)
  }
  return { bus, outbox, received, send, replay }
}

test('batches are numbered for each gateway from 1', async () => {
  const { bus, send, received } = start()
  send('gw', 0)
  send('other', 0)
  send('gw', 1)
  await bus.flush()
  expect(received.map(({ seq }) => seq)).toEqual([1, 2])
})

test('a gap is replayed, and what is no longer kept is gone', () => {
  const { send, replay } = start()
  for (let token = 0; token < 1_100; token++) send('gw', token)
  expect(replay(1_099, 1_100)).toEqual([1_099, 1_100])
  expect(replay(77, 1_100)).toHaveLength(1_024)
  expect(replay(76, 78)).toBe('gone')
  expect(replay(1_099, 1_100, 'before the restart')).toBe('gone')
  expect(replay(1_099, 9_999)).toEqual([1_099, 1_100])
})

test('what is kept for a replay fits one message', () => {
  const outbox = createTokenOutbox({ bus: { publish: () => {} }, nodeId: 'n', incarnation: 'i' })
  const logprob = -12.345678901234567
  const top = Array.from({ length: 20 }, () => ({ token: 123_456, logprob }))
  const requestId = 'x'.repeat(64)
  const tokens = Array.from({ length: 32 }, (_, index) => {
    return { requestId, attempt: 0, index, token: 123_456, logprobs: { logprob, top } }
  })
  for (let i = 0; i < 200; i++) {
    outbox.send('gw', { batchSize: 32, numAdapters: 1, tokens, ends: [] }, 0)
  }
  const replay = (fromSeq: number) =>
    outbox.replay({ gatewayId: 'gw', incarnation: 'i', fromSeq, toSeq: 200 })
  const oldest = Array.from({ length: 200 }, (_, i) => i + 1).find(
    (seq) => replay(seq).type === 'batches',
  )
  expect(oldest).toBeGreaterThan(1)
  expect(oldest).toBeLessThan(200)
  expect(JSON.stringify(replay(oldest ?? 0)).length).toBeLessThan(limits.messageBytes)
})

test('a heartbeat carries the newest number and is not numbered itself', async () => {
  const { bus, outbox, send, received } = start()
  outbox.beat(new Set(['gw']), 0)
  send('gw', 0)
  outbox.beat(new Set(['gw']), 0)
  send('gw', 1)
  await bus.flush()
  expect(received.map(({ seq, tokens }) => [seq, tokens.length])).toEqual([
    [0, 0],
    [1, 1],
    [1, 0],
    [2, 1],
  ])
})

test('the last batch of a gateway is followed by heartbeats for a while', async () => {
  const { bus, outbox, send, received } = start()
  send('gw', 0, 1_000)
  outbox.beat(new Set(), 5_000)
  outbox.beat(new Set(), 11_000)
  await bus.flush()
  expect(received.map(({ seq, tokens }) => [seq, tokens.length])).toEqual([
    [1, 1],
    [1, 0],
  ])
})

test('a gateway without requests is forgotten after a while, but not its number', () => {
  const { outbox, send, replay } = start()
  send('gw', 0, 1_000)
  outbox.beat(new Set(), 60_000)
  expect(replay(1, 1)).toEqual([1])
  outbox.beat(new Set(), 61_000)
  expect(replay(1, 1)).toBe('gone')
  send('gw', 1, 61_000)
  expect(replay(2, 2)).toEqual([2])
})
