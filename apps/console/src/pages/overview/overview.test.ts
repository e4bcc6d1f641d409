import { expect, describe as suite, test } from 'vitest'
import { sayDecision } from './decision-words.ts'
import { describe } from './describe.ts'
import { type Decision, groupDecisions } from './group-decisions.ts'
import { cellAt, indexAt, layOut } from './map-layout.ts'
import { type Gpu, type Pool, toTotals } from './totals.ts'

const gpu = (changes: Partial<Gpu> = {}): Gpu => ({
  __typename: 'NodeLoad',
  id: 'node-1',
  pool: 'default',
  state: 'READY',
  scheduling: 'OPEN',
  requests: 0,
  maxBatchSize: 32,
  adaptersInBatch: 0,
  numPages: 100,
  kvPages: 0,
  adapterPages: 0,
  tokensPerSecond: 0,
  ...changes,
})

const pool = (changes: Partial<Pool> = {}): Pool => ({
  __typename: 'PoolState',
  name: 'default',
  readyNodes: 4,
  activeNodes: 0,
  lowerBoundNodes: 0,
  runningRequests: 0,
  queuedRequests: 0,
  tokensPerSecond: 0,
  timeToFirstTokenMs: null,
  interTokenMs: null,
  gpuSecondsSaved: null,
  scaleHint: null,
  ...changes,
})

suite('totals of pools', () => {
  test('add up, and of latencies the worst stands', () => {
    const fast = { __typename: 'Latency' as const, p50: 5, p99: 9 }
    const slow = { __typename: 'Latency' as const, p50: 4, p99: 20 }
    const totals = toTotals([
      pool({ activeNodes: 1, queuedRequests: null, interTokenMs: fast }),
      pool({ activeNodes: 2, queuedRequests: 3, interTokenMs: slow }),
    ])
    expect(totals).toMatchObject({
      readyNodes: 8,
      activeNodes: 3,
      queuedRequests: 3,
      interTokenMs: slow,
      timeToFirstTokenMs: null,
    })
  })

  test('what no pool has told is not zero', () => {
    expect(toTotals([pool({ queuedRequests: null })]).queuedRequests).toBeNull()
  })
})

suite('the cluster in words', () => {
  const say = (changes: Partial<Pool>, gpus: Gpu[]) => describe(toTotals([pool(changes)]), gpus)

  test.each([
    [{}, [], 'No GPU has reported yet.'],
    [{ readyNodes: 0 }, [gpu({ state: 'LOST' })], 'No GPU is ready.'],
    [{ readyNodes: 1 }, [gpu()], 'Nothing runs. 1 GPU ready.'],
    [{ activeNodes: 1, runningRequests: 1 }, [gpu()], '1 of 4 GPUs serve 1 request.'],
  ] as const)('%#', (changes, gpus, headline) => {
    expect(say(changes, [...gpus]).headline).toBe(headline)
  })

  test('says what is worth a second look, and nothing else', () => {
    expect(
      say({ activeNodes: 1, lowerBoundNodes: 1, runningRequests: 9 }, [gpu()]).remarks,
    ).toEqual([])
    const { remarks } = say(
      { activeNodes: 4, lowerBoundNodes: 2, runningRequests: 40, queuedRequests: 2 },
      [gpu({ state: 'LOST' }), gpu({ scheduling: 'DRAINED', requests: 3 })],
    )
    expect(remarks).toEqual([
      '2 requests wait: no GPU has room.',
      'By batch limits 2 would do: the rest is memory, latency or a move under way.',
      '1 GPU lost. Their requests went on elsewhere.',
      '1 GPU drained, 3 requests still to move.',
    ])
  })
})

suite('decisions', () => {
  const decision = (seq: number, changes: Partial<Decision> = {}): Decision => ({
    __typename: 'Decision',
    seq,
    at: '2026-01-01T00:00:00Z',
    pool: 'default',
    kind: 'PLACE',
    requestId: `r${seq}`,
    tenant: 'acme',
    nodeId: 'node-1',
    wantedNodes: null,
    reason: `${seq} of 32 requests, largest working set`,
    ...changes,
  })

  test('alike ones that follow each other are one line, newest first and bounded', () => {
    const groups = groupDecisions(
      [],
      [decision(1), decision(2), decision(3, { nodeId: 'node-2' }), decision(4)],
      2,
    )
    expect(groups.map(({ newest, count }) => [newest.seq, count])).toEqual([
      [4, 1],
      [3, 1],
    ])
    const [first] = groupDecisions([], [decision(1), decision(2)], 10)
    expect(first).toMatchObject({ count: 2, newest: { seq: 2 } })
  })

  test('a group keeps its key as it grows, so that its line stays where it is', () => {
    const before = groupDecisions([], [decision(1)], 10)
    expect(groupDecisions(before, [decision(2)], 10)[0]?.key).toBe(before[0]?.key)
  })

  test.each([
    [{}, 1, 'a request of acme on node-1'],
    [{}, 3, '3 requests on node-1'],
    [{ kind: 'EVICT' }, 1, 'a request of acme from node-1'],
    [{ kind: 'SCALE', nodeId: null, wantedNodes: 5 }, 1, 'to 5 nodes'],
    [{ kind: 'DRAIN' }, 1, 'node-1'],
    [{ kind: 'QUEUE', nodeId: null, tenant: null }, 1, 'a request'],
  ] as const)('are said in words: %#', (changes, count, words) => {
    expect(sayDecision({ key: '', newest: decision(1, changes), count })).toBe(words)
  })
})

suite('the map', () => {
  test.each([1, 2, 24, 64, 256, 1000])('of %i GPUs fits its width', (count) => {
    for (const width of [340, 720, 1100]) {
      const { columns, cellWidth, gap, rows } = layOut(count, width)
      expect(columns * (cellWidth + gap) - gap).toBeLessThanOrEqual(width)
      expect(columns * rows).toBeGreaterThanOrEqual(count)
    }
  })

  test('of a thousand GPUs is not higher than a screen, and of few has room for words', () => {
    expect(layOut(1000, 720).height).toBeLessThanOrEqual(400)
    expect(layOut(8, 720).cellWidth).toBeGreaterThan(120)
  })

  test('finds every cell again under its own middle, and none between two', () => {
    const layout = layOut(100, 720)
    for (let index = 0; index < 100; index++) {
      const { x, y } = cellAt(layout, index)
      const middle = { x: x + layout.cellWidth / 2, y: y + layout.cellHeight / 2 }
      expect(indexAt(layout, middle)).toBe(index)
    }
    expect(indexAt(layout, { x: layout.cellWidth + layout.gap / 2, y: 1 })).toBeNull()
    expect(indexAt(layout, { x: -1, y: 1 })).toBeNull()
  })
})
