import { expect, test } from 'vitest'
import { createWaitQueue, type Waiting } from './queue.ts'
import { adapterRef, task } from './testing/fixtures.ts'
import { createRandom, type Random } from './testing/random.ts'

/** Jain's index: 1 where all have the same. */
const jain = (shares: readonly number[]): number => {
  const sum = shares.reduce((total, share) => total + share, 0)
  const squares = shares.reduce((total, share) => total + share ** 2, 0)
  return sum ** 2 / (shares.length * squares)
}

let numRequests = 0
const waiting = (
  tenant: string,
  numTokens: number,
  rest: Parameters<typeof task>[1] = {},
): Waiting => ({
  type: 'waiting',
  task: task(`r${numRequests++}`, { tenant, numTokens, maxNewTokens: 1, ...rest }),
  numRefusals: 0,
  charge: { atMs: 0, numTokens: numTokens + 1, isTaken: false },
})

/** Serves tenants that always have something waiting; returns the tokens that each got. */
const serve = (random: Random, weights: Record<string, number>, numServed: number) => {
  const tenants = Object.keys(weights)
  const queue = createWaitQueue((tenant) => weights[tenant] ?? 1)
  const served = new Map(tenants.map((tenant) => [tenant, 0]))
  // Each has a size of its own: fair in tokens is not fair in requests.
  const sizes = new Map(tenants.map((tenant, i) => [tenant, 10 * 4 ** i]))
  const refill = (tenant: string): void =>
    queue.add(waiting(tenant, 1 + random.below(sizes.get(tenant) ?? 1)))
  for (const tenant of tenants) for (let i = 0; i < 3; i++) refill(tenant)
  for (let i = 0; i < numServed; i++) {
    const next = queue.first()
    if (next === undefined) break
    queue.take(next)
    const { tenant } = next.task
    served.set(tenant, (served.get(tenant) ?? 0) + next.task.tokens.length)
    refill(tenant)
  }
  return served
}

test.each([1, 2, 3, 4, 5])('backlogged tenants of equal weight get the same (seed %i)', (seed) => {
  const served = serve(createRandom(seed), { a: 1, b: 1, c: 1, d: 1 }, 5_000)
  expect(jain([...served.values()])).toBeGreaterThan(0.95)
})

test('backlogged tenants get what their weights say', () => {
  const served = serve(createRandom(1), { a: 1, b: 2, c: 5 }, 10_000)
  const [a = 0, b = 0, c = 0] = served.values()
  expect(jain([a, b / 2, c / 5])).toBeGreaterThan(0.95)
})

test('an adapter costs by its bytes', () => {
  const queue = createWaitQueue(() => 1)
  const adapter = adapterRef('a', 1_000 * 2 ** 20)
  queue.add(waiting('large', 10, { adapter }))
  queue.add(waiting('large', 10, { adapter }))
  for (let i = 0; i < 3; i++) queue.add(waiting('small', 100))
  expect(queue.list().map(({ task: { tenant } }) => tenant)).toEqual([
    'large',
    'small',
    'small',
    'small',
    'large',
  ])
})

test('nobody saves up turns by waiting for nothing, and a debt is remembered', () => {
  const queue = createWaitQueue(() => 1)
  const takeFirst = (): string => {
    const next = queue.first()
    if (next !== undefined) queue.take(next)
    return next?.task.tenant ?? ''
  }
  for (let i = 0; i < 10; i++) queue.add(waiting('busy', 100))
  for (let i = 0; i < 5; i++) expect(takeFirst()).toBe('busy')
  for (let i = 0; i < 4; i++) queue.add(waiting('late', 100, { arrivalMs: 1 }))
  const order = Array.from({ length: 6 }, takeFirst)
  expect(order.filter((tenant) => tenant === 'late')).toHaveLength(3)
  // It leaves, and gains nothing by coming back.
  for (const left of queue.values()) if (left.task.tenant === 'late') queue.remove(left)
  for (let i = 0; i < 4; i++) queue.add(waiting('late', 100, { arrivalMs: 2 }))
  expect(Array.from({ length: 4 }, takeFirst).filter((t) => t === 'late')).toHaveLength(2)
})

test('the listed order is the order of service', () => {
  const random = createRandom(3)
  for (let run = 0; run < 100; run++) {
    const weights: Record<string, number> = { a: 1, b: 3, c: 0.5 }
    const queue = createWaitQueue((tenant) => weights[tenant] ?? 1)
    for (let i = 0; i < 30; i++) {
      const tenant = random.pick(['a', 'b', 'c']) ?? 'a'
      const rest = { attempt: random.below(2), arrivalMs: random.below(10) }
      queue.add(waiting(tenant, 1 + random.below(3), rest))
      const next = queue.first()
      if (random.chance(0.3) && next !== undefined) queue.take(next)
    }
    const listed = queue.list()
    for (const expected of listed) {
      expect(queue.first()).toBe(expected)
      queue.take(expected)
    }
    expect(queue.size).toBe(0)
  }
})

test('in a line, those that have begun come first, then those that came first', () => {
  const queue = createWaitQueue(() => 1)
  const items = [
    waiting('a', 1, { arrivalMs: 1 }),
    waiting('a', 1, { arrivalMs: 3, attempt: 2 }),
    waiting('a', 1, { arrivalMs: 2, attempt: 1 }),
    waiting('a', 1, { arrivalMs: 0 }),
  ]
  for (const item of items) queue.add(item)
  expect(queue.list().map((item) => items.indexOf(item))).toEqual([2, 1, 3, 0])
})
