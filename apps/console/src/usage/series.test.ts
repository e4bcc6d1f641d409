import { expect, test } from 'vitest'
import { rangeOf, sumUsage, toSeries, type UsageTotal } from './series.ts'

const total = (key: string, generatedTokens: number, firstTokenMs = 20): UsageTotal => ({
  __typename: 'UsageTotal',
  key,
  name: null,
  requests: 1,
  promptTokens: 10,
  generatedTokens,
  latency: {
    __typename: 'MeanLatency',
    requests: 1,
    firstTokenMs,
    tokenGaps: generatedTokens - 1,
    tokenGapMs: generatedTokens === 1 ? null : generatedTokens,
  },
})

test('hours without use are zero, not missing', () => {
  const range = { from: '2026-01-01T00:00:00.000Z', to: '2026-01-01T04:00:00.000Z' }
  const used = [total('2026-01-01T01:00:00.000Z', 5), total('2026-01-01T03:00:00.000Z', 7)]
  const { times, generated, prompt } = toSeries(used, range, 'HOUR')
  expect(times).toHaveLength(4)
  expect(generated).toEqual([0, 5, 0, 7])
  expect(prompt).toEqual([0, 10, 0, 10])
})

test('a span ends with the hour that runs, and days begin at midnight', () => {
  const now = new Date('2026-01-31T10:30:00Z')
  expect(rangeOf('day', now)).toEqual({
    from: '2026-01-30T11:00:00.000Z',
    to: '2026-01-31T11:00:00.000Z',
  })
  expect(rangeOf('month', now).from).toBe('2026-01-01T00:00:00.000Z')
})

test('sums are over all rows, and means weigh each as much as it stands for', () => {
  expect(sumUsage([total('a', 5, 10), total('b', 1, 40), total('c', 7, 70)])).toEqual({
    requests: 3,
    promptTokens: 30,
    generatedTokens: 13,
    firstTokenMs: 40,
    tokenGapMs: (4 * 5 + 6 * 7) / 10,
  })
  expect(sumUsage([])).toMatchObject({ requests: 0, firstTokenMs: null, tokenGapMs: null })
})
