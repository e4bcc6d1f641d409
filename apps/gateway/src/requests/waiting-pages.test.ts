import { limits } from '@punica/schema'
import { expect, test } from 'vitest'
import { createWaitingPages } from './waiting-pages.ts'

const requests = (count: number) =>
  Array.from({ length: count }, (_, i) => ({ requestId: `r${i}`, attempt: 0, nodeId: null }))

test('all pages together are the list as it was with the first of them', () => {
  const { maxWaitingPerPage } = limits
  let list = requests(2 * maxWaitingPerPage + 1)
  const before = list
  const answer = createWaitingPages(() => list)
  const first = answer({ epoch: 1, page: 0 })
  list = requests(1)
  const others = [1, 2].map((page) => answer({ epoch: 1, page }))
  expect([first, ...others].flatMap((reply) => reply.requests)).toEqual(before)
  expect([first, ...others].map(({ isLast }) => isLast)).toEqual([false, false, true])
  expect(answer({ epoch: 1, page: 0 })).toEqual({ requests: list, isLast: true })
})

test('a list of nothing is one empty page, and a page beyond the end is empty', () => {
  const answer = createWaitingPages(() => [])
  expect(answer({ epoch: 1, page: 0 })).toEqual({ requests: [], isLast: true })
  expect(answer({ epoch: 2, page: 9 })).toEqual({ requests: [], isLast: true })
})
