import type { TokenBatch } from '@punica/schema'
import { expect, test } from 'vitest'
import { createNodeStreams, type StreamAction } from './node-streams.ts'

const batch = (seq: number, incarnation = 'a'): TokenBatch => ({
  nodeId: 'n1',
  incarnation,
  seq,
  batchSize: 1,
  numAdapters: 0,
  tokens: [{ requestId: 'r', attempt: 0, index: seq - 1, token: seq }],
  ends: [],
})
const heartbeat = (seq: number): TokenBatch => ({ ...batch(seq), tokens: [] })
const asked = { nodeId: 'n1', incarnation: 'a' }

/** `3` for the delivery of batch 3, `2-4` for a replay, `lost` for a loss. */
const brief = (actions: readonly StreamAction[]): string[] =>
  actions.map((action) => {
    if (action.type === 'deliver') return String(action.batch.seq)
    if (action.type === 'lost') return `lost ${action.node}`
    if (action.type === 'refuse') return action.reason
    return `${action.request.fromSeq}-${action.request.toSeq}`
  })

test('batches in order are delivered, repeated ones are not', () => {
  const streams = createNodeStreams()
  const seqs = [1, 2, 2, 1, 3].flatMap((seq) => brief(streams.receive(batch(seq), 0)))
  expect(seqs).toEqual(['1', '2', '3'])
})

test('a gap is replayed once, and what came meanwhile follows in order', () => {
  const streams = createNodeStreams()
  streams.receive(batch(1), 0)
  expect(brief(streams.receive(batch(4), 0))).toEqual(['2-3'])
  expect(brief(streams.receive(batch(6), 0))).toEqual([])
  const reply = { type: 'batches' as const, batches: [batch(2), batch(3)] }
  expect(brief(streams.replayed(asked, reply))).toEqual(['2', '3', '4', '5-5'])
  expect(brief(streams.replayed(asked, { type: 'batches', batches: [batch(5)] }))).toEqual([
    '5',
    '6',
  ])
})

test('a late batch closes the gap before its replay', () => {
  const streams = createNodeStreams()
  streams.receive(batch(2), 0)
  expect(brief(streams.receive(batch(1), 0))).toEqual(['1', '2'])
  expect(brief(streams.replayed(asked, { type: 'batches', batches: [batch(1)] }))).toEqual([])
})

test('a heartbeat shows that the newest batch is missing', () => {
  const streams = createNodeStreams()
  streams.receive(batch(1), 0)
  expect(brief(streams.receive(heartbeat(1), 0))).toEqual([])
  expect(brief(streams.receive(heartbeat(3), 0))).toEqual(['2-3'])
})

test.each([
  ['gone', { type: 'gone' as const }],
  ['unanswered', null],
  ['empty', { type: 'batches' as const, batches: [] }],
])('a replay that is %s is a loss, behind which the stream goes on', (_, reply) => {
  const streams = createNodeStreams()
  streams.receive(batch(1), 0)
  streams.receive(batch(4), 0)
  expect(brief(streams.replayed(asked, reply))).toEqual(['lost n1:a'])
  expect(brief(streams.receive(batch(5), 0))).toEqual(['5'])
})

test('a loss told by a heartbeat alone is gone past, too', () => {
  const streams = createNodeStreams()
  streams.receive(heartbeat(3), 0)
  streams.replayed(asked, null)
  expect(brief(streams.receive(batch(4), 0))).toEqual(['4'])
})

test('a new process starts again, and the old one is silent', () => {
  const streams = createNodeStreams()
  streams.receive(batch(1), 5)
  expect(brief(streams.receive(batch(1, 'b'), 6))).toEqual(['1'])
  expect(streams.heardMs('n1:b')).toBe(6)
  expect(streams.heardMs('n1:a')).toBe(0)
  expect(streams.replayed(asked, null)).toEqual([])
})

test('what still comes of a process that has been replaced is refused, and changes nothing', () => {
  const streams = createNodeStreams()
  const of = (incarnation: string, seq: number) =>
    brief(streams.receive({ ...batch(seq), incarnation }, 0))
  expect([of('a', 1), of('b', 1), of('a', 2), of('a', 7), of('b', 2)]).toEqual([
    ['1'],
    ['1'],
    ['stale_incarnation'],
    ['stale_incarnation'],
    ['2'],
  ])
})

test('what is held back is bounded', () => {
  const streams = createNodeStreams()
  const actions = Array.from({ length: 1_025 }, (_, i) => brief(streams.receive(batch(i + 2), 0)))
  expect(actions.at(-1)).toEqual(['lost n1:a'])
  expect(brief(streams.receive(batch(1_027), 0))).toEqual(['1027'])
})
