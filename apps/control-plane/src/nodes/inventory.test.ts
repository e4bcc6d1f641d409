import type { NodeStatus } from '@punica/schema'
import { expect, test } from 'vitest'
import { nodeStatus } from '../testing/node-status.ts'
import { createInventory } from './inventory.ts'
import { latest } from './latest.ts'

const report = (nodeId: string, changes: Partial<NodeStatus> = {}) => ({
  type: 'status' as const,
  status: nodeStatus(nodeId, changes),
})

test('shows what nodes report, by id and by pool', () => {
  const inventory = createInventory()
  inventory.handle(report('b'), 0)
  inventory.handle(report('a', { pool: 'other', state: 'draining' }), 0)
  expect(inventory.list().map(({ status }) => status.nodeId)).toEqual(['a', 'b'])
  expect(inventory.list('other').map(({ state }) => state)).toEqual(['DRAINING'])
  expect(inventory.list('none')).toEqual([])
})

test('a node that is silent is lost until it reports again, and forgotten after a day', () => {
  const inventory = createInventory()
  const stateAt = (nowMs: number) => {
    inventory.tick(nowMs)
    return inventory.list().map(({ state }) => state)
  }
  inventory.handle(report('a'), 0)
  expect(stateAt(5_000)).toEqual(['READY'])
  expect(stateAt(5_001)).toEqual(['LOST'])
  inventory.handle(report('a'), 6_000)
  expect(stateAt(6_000)).toEqual(['READY'])
  expect(stateAt(6_001 + 24 * 3600_000)).toEqual([])
})

test('a node that leaves is forgotten at once', () => {
  const inventory = createInventory()
  inventory.handle(report('a'), 0)
  inventory.takeChanges()
  inventory.handle({ type: 'leaving', nodeId: 'a' }, 1)
  expect(inventory.list()).toEqual([])
  expect(inventory.takeChanges()).toEqual({ changed: [], removed: ['a'] })
})

test('changes are taken once each', () => {
  const inventory = createInventory()
  inventory.handle(report('a'), 0)
  inventory.handle(report('a', { state: 'failed' }), 1)
  expect(inventory.takeChanges().changed.map(({ state }) => state)).toEqual(['FAILED'])
  expect(inventory.takeChanges()).toEqual({ changed: [], removed: [] })
})

test('what a node says now outweighs what was written down of it', () => {
  const inventory = createInventory()
  const old = {
    state: 'LOST' as const,
    scheduling: 'OPEN' as const,
    lastSeenAt: new Date(0),
    status: nodeStatus('a'),
  }
  inventory.handle(report('a'), 10)
  inventory.restore([old, { ...old, status: nodeStatus('b') }])
  expect(inventory.list().map(({ state }) => state)).toEqual(['READY', 'LOST'])
})

test('a slow reader gets the newest value only, and an end while it waits', async () => {
  let value = 0
  let listener = (): void => {}
  const values = latest(
    () => value,
    (callback) => {
      listener = callback
      return () => {
        listener = () => {}
      }
    },
  )
  expect((await values.next()).value).toBe(0)
  value = 1
  listener()
  value = 2
  listener()
  expect((await values.next()).value).toBe(2)
  const waiting = values.next()
  await values.return?.()
  expect((await waiting).done).toBe(true)
})
