import { expect, test } from 'vitest'
import { drawProgress } from './progress-bar.ts'

const state = { label: 'weights', doneBytes: 25e6, totalBytes: 100e6, bytesPerSecond: 5e6 }

test('a bar says how far it is, how fast, and how long it takes yet', () => {
  expect(drawProgress(state, 120)).toBe(
    `weights  ${'█'.repeat(7)}${'░'.repeat(21)}  25%  25.0 MB of 100 MB  5.0 MB/s  15 s left`,
  )
})

test('what is done has no time left, and an empty file is done', () => {
  const done = drawProgress({ ...state, doneBytes: 100e6 }, 120)
  expect(done).toMatch(/100% {2}100 MB of 100 MB$/)
  const empty = { label: 'x', doneBytes: 0, totalBytes: 0, bytesPerSecond: 0 }
  expect(drawProgress(empty, 120)).toContain('100%')
})

test('a narrow terminal gets one line all the same', () => {
  expect(drawProgress(state, 30)).toHaveLength(29)
})
