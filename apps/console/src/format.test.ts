import { expect, test } from 'vitest'
import { formatAgo, formatBytes, formatCompact, formatMs, plural } from './format.ts'

test('figures are short and say their unit', () => {
  expect([0, 999, 1234, 5.4e6, 80e9].map(formatBytes)).toEqual([
    '0 B',
    '999 B',
    '1.2 kB',
    '5.4 MB',
    '80.0 GB',
  ])
  expect([0.4, 9.42, 240, 1300].map(formatMs)).toEqual(['400 µs', '9.4 ms', '240 ms', '1.3 s'])
  expect([9999, 12_345].map(formatCompact)).toEqual(['9,999', '12.3K'])
  expect([plural(1, 'GPU'), plural(1200, 'GPU')]).toEqual(['1 GPU', '1,200 GPUs'])
})

test('times are told from now, either way', () => {
  const now = new Date('2026-01-10T00:00:00Z')
  expect(formatAgo('2026-01-09T23:57:00Z', now)).toBe('3 minutes ago')
  expect(formatAgo('2026-01-12T01:00:00Z', now)).toBe('in 2 days')
})
