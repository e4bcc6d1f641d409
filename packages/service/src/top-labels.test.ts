import { expect, test } from 'vitest'
import { createTopLabels } from './top-labels.ts'

const start = (max: number) => {
  const dropped: string[] = []
  let nowMs = 0
  const label = createTopLabels({
    max,
    windowMs: 60_000,
    clock: () => nowMs,
    onDropped: (key) => dropped.push(key),
  })
  return {
    dropped,
    count: (key: string, times = 1): string => {
      for (let i = 1; i < times; i++) label(key)
      return label(key)
    },
    nextWindow: () => {
      nowMs += 60_000
    },
  }
}

test('the first keys have labels of their own, the rest share one', () => {
  const { count } = start(2)
  expect(['a', 'b', 'c', 'd', 'a'].map((key) => count(key))).toEqual([
    'a',
    'b',
    '_other',
    '_other',
    'a',
  ])
})

test('a key that has become clearly busier takes the place of the least busy one', () => {
  const { count, nextWindow, dropped } = start(2)
  count('a', 10)
  count('b', 3)
  count('c', 7)
  nextWindow()
  expect([count('c'), count('a'), count('b')]).toEqual(['c', 'a', '_other'])
  expect(dropped).toEqual(['b'])
})

test('one that is a little busier does not: labels do not flicker', () => {
  const { count, nextWindow, dropped } = start(1)
  count('a', 10)
  count('b', 15)
  nextWindow()
  expect(count('b')).toBe('_other')
  expect(dropped).toEqual([])
})

test('a key that has fallen silent makes room', () => {
  const { count, nextWindow } = start(1)
  count('a')
  nextWindow()
  count('b')
  nextWindow()
  expect(count('b')).toBe('b')
})

test('ten thousand keys are as few labels as ten', () => {
  const { count, nextWindow } = start(10)
  const labels = new Set<string>()
  for (let round = 0; round < 3; round++) {
    labels.clear()
    for (let i = 0; i < 10_000; i++) labels.add(count(`tenant-${i}`))
    nextWindow()
  }
  expect(labels.size).toBe(11)
})
