import { expect, test } from 'vitest'
import { drawTop, type TopState, toBusyAdapters } from './draw-top.ts'

const node = {
  id: 'gpu-1',
  pool: 'default',
  state: 'READY' as const,
  scheduling: 'OPEN' as const,
  requests: 16,
  maxBatchSize: 32,
  adaptersInBatch: 5,
  numPages: 1000,
  kvPages: 400,
  adapterPages: 50,
  tokensPerSecond: 1234.5,
}

const state: TopState = {
  url: 'http://control:8080',
  isLive: true,
  cluster: {
    at: '2026-11-24T20:00:00.000Z',
    pools: [
      {
        name: 'default',
        readyNodes: 2,
        activeNodes: 1,
        lowerBoundNodes: 1,
        runningRequests: 16,
        queuedRequests: 3,
        tokensPerSecond: 1234.5,
        timeToFirstTokenMs: { p50: 40, p99: 90 },
        interTokenMs: null,
        scaleHint: null,
      },
    ],
    nodes: [{ ...node, id: 'gpu-2', requests: 0, scheduling: 'DRAINED' }, node],
  },
  adapters: [
    {
      digest: 'ab'.repeat(32),
      name: 'acme/french',
      numNodes: 1,
      requests: 9,
      sizeBytes: 1e6,
      tokens24h: 77,
    },
  ],
  decisions: [
    {
      at: '2026-11-24T19:59:58.000Z',
      pool: 'default',
      kind: 'PLACE',
      tenant: 'acme',
      nodeId: 'gpu-1',
      wantedNodes: null,
      reason: 'the largest\u001b[31m working set with room',
    },
  ],
}

const draw = (changes: Partial<TopState> = {}, size = { columns: 120, rows: 30 }): string[] =>
  drawTop({ ...state, ...changes }, { ...size, paint: (_, text) => text })

test('a frame shows pools, GPUs, adapters and decisions', () => {
  expect(draw()).toEqual([
    'punica top  http://control:8080  2026-11-24 20:00:00Z',
    'default: 1 of 2 GPUs busy (1 would do)   running 16   queued 3   1,235 tokens/s',
    '  first token p50 40 ms p99 90 ms   between tokens p50 – p99 –',
    '',
    'GPU    STATE          BATCH                ADAPTERS   KV  LORA  TOKENS/S',
    'gpu-1  ready          ██████░░░░░░  16/32         5  40%    5%     1,235',
    'gpu-2  ready drained  ░░░░░░░░░░░░   0/32         5  40%    5%     1,235',
    '',
    'ADAPTER      RUNNING  ON GPUS    SIZE  TOKENS 24H',
    'acme/french        9        1  1.0 MB          77',
    '',
    '19:59:58 place     acme gpu-1  the largest [31m working set with room',
  ])
})

test('a frame fits its terminal, however many GPUs and decisions there are', () => {
  const nodes = Array.from({ length: 500 }, (_, i) => ({ ...node, id: `gpu-${i}` }))
  const decisions = Array.from({ length: 50 }, () => state.decisions).flat()
  const lines = draw({ cluster: { ...state.cluster, nodes }, decisions }, { columns: 60, rows: 24 })
  expect(lines.length).toBeLessThan(24)
  expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(60)
  expect(lines.some((line) => /^and \d+ more$/.test(line))).toBe(true)
  expect(lines.at(-1)).toMatch(/place/)
})

test('a lost connection is said', () => {
  expect(draw({ isLive: false })[0]).toContain('CONNECTION LOST')
})

test('adapters are those with requests first, then those most used', () => {
  const resident = (digest: string, requests: number) => ({ digest, requests, sizeBytes: 10 })
  const total = (key: string, generatedTokens: number) => ({
    key,
    name: key === '' ? null : `acme/${key}`,
    requests: 1,
    generatedTokens,
  })
  const adapters = toBusyAdapters({
    usageTotals: [total('a', 900), total('', 500), total('b', 10)],
    nodes: {
      edges: [
        { node: { id: 'n1', residentAdapters: [resident('b', 2), resident('c', 0)] } },
        { node: { id: 'n2', residentAdapters: [resident('b', 1)] } },
      ],
    },
  })
  expect(adapters.map(({ name, requests, numNodes }) => [name, requests, numNodes])).toEqual([
    ['acme/b', 3, 2],
    ['acme/a', 0, 0],
    ['(base model)', 0, 0],
    [null, 0, 1],
  ])
})
