import { expect, test } from 'vitest'
import { stepMs } from './cost.ts'
import { addPlacement, createNode, type Placement } from './ledger.ts'
import { adapterRef, nodeStatus, task } from './testing/fixtures.ts'
import { start } from './testing/start.ts'

/** One byte per millisecond and thousand: every cost can be read off the bytes. */
const hardware = {
  backend: 'cuda' as const,
  description: 'test',
  memoryBytes: 0,
  weightBytes: 1_000,
  kvBytesPerToken: 10,
  bandwidthBytesPerSecond: 1_000_000,
  stepOverheadMs: 0.5,
  rowOverheadMs: 0.25,
}

const placement = (requestId: string, rest: Partial<Placement> = {}): Placement => ({
  type: 'placed',
  requestId,
  attempt: 0,
  nodeId: 'a',
  gatewayId: 'gw',
  tenant: 'acme',
  placedMs: 0,
  numKvPages: 1,
  adapter: { digest: 'a'.repeat(64), numPages: 3, sizeBytes: 300 },
  numTokens: 20,
  maxTokens: 40,
  charge: null,
  waiting: null,
  mentioned: false,
  unwanted: false,
  evictMs: null,
  adopted: false,
  ...rest,
})

test('a step reads the weights, all contexts, and each distinct adapter once', () => {
  const node = createNode(nodeStatus('a', { hardware }), 0)
  expect(stepMs(node, null)).toBeCloseTo(1 + 0.5)
  addPlacement(node, placement('r1'))
  addPlacement(node, placement('r2'))
  // 1000 + 2 * 200 + 300 bytes, two rows.
  expect(stepMs(node, null)).toBeCloseTo(1.7 + 0.5 + 0.5)
  const shared = { numTokens: 10, adapter: adapterRef('a', 300) }
  expect(stepMs(node, shared)).toBeCloseTo(1.8 + 0.5 + 0.75)
  expect(stepMs(node, { ...shared, adapter: adapterRef('b', 300) })).toBeCloseTo(2.1 + 0.5 + 0.75)
})

test('a node that does not say what it would need to be known has no model', () => {
  expect(stepMs(createNode(nodeStatus('a'), 0), null)).toBe(null)
})

test('a placement that would break the target is not made, and the reason says so', () => {
  const { report, placed, reasons } = start({ targetInterTokenMs: 2.5 })
  report(nodeStatus('a', { hardware }))
  expect(placed(task('r1', { numTokens: 20 }))).toBe('a')
  expect(placed(task('r2', { numTokens: 20 }))).toBe('a')
  // 1000 + 600 bytes and three rows would be 2.85 ms.
  expect(reasons({ type: 'submitted', task: task('r3', { numTokens: 20 }) }, 'queue')).toEqual([
    'no node has room: 1 where a step would take more than 2.5 ms',
  ])
})

test('a faster node takes more', () => {
  const fast = { ...hardware, bandwidthBytesPerSecond: 4_000_000 }
  const { report, placed } = start({ targetInterTokenMs: 2 })
  report(nodeStatus('slow', { hardware }))
  report(nodeStatus('fast', { hardware: fast }))
  const places = Array.from({ length: 4 }, (_, i) => placed(task(`r${i}`, { numTokens: 60 })))
  expect(places).toEqual(['fast', 'fast', 'fast', null])
})

test('what is too slow anywhere gets the quickest of the empty nodes, alone', () => {
  const fast = { ...hardware, bandwidthBytesPerSecond: 1_100_000 }
  const { report, placed } = start({ targetInterTokenMs: 2 })
  for (const nodeId of ['x', 'z']) report(nodeStatus(nodeId, { hardware }))
  report(nodeStatus('y', { hardware: fast }))
  const places = Array.from({ length: 4 }, (_, i) => placed(task(`r${i}`, { numTokens: 100 })))
  expect(places).toEqual(['y', 'x', 'z', null])
})

test('nodes are packed up to a pace, and what is more goes where the step is shortest', () => {
  const { report, handle } = start({ packInterTokenMs: 2.3 })
  for (const nodeId of ['a', 'b']) report(nodeStatus(nodeId, { hardware }))
  const decisions = Array.from({ length: 5 }, (_, i) =>
    handle({ type: 'submitted', task: task(`r${i}`, { numTokens: 20 }) }).flatMap((command) =>
      command.type === 'decide' ? [command.decision] : [],
    ),
  ).flat()
  // Each has room for one more within the pace; then the one with the fewer is the quicker.
  expect(decisions.map(({ nodeId }) => nodeId)).toEqual(['b', 'a', 'b', 'a', 'b'])
  expect(decisions.map(({ reason }) => reason.split(':')[0])).toEqual([
    'largest working set with room',
    'largest working set with room',
    'shortest step, for none is below 2.3 ms',
    'shortest step, for none is below 2.3 ms',
    'shortest step, for none is below 2.3 ms',
  ])
})

test('nothing is moved to where the pace up to which nodes are packed would be broken', () => {
  const numEvicted = (packInterTokenMs: number): number => {
    const { clock, report, send } = start({ consolidationIntervalMs: 100, packInterTokenMs })
    const running = (requestId: string) => ({
      requestId,
      attempt: 0,
      gatewayId: 'gw',
      tenant: 'acme',
      adapterDigest: null,
      numTokens: 20,
      maxTokens: 500,
    })
    report(nodeStatus('a', { hardware, requests: [running('r1')] }))
    report(nodeStatus('b', { hardware, requests: [running('r2'), running('r3')] }))
    clock.nowMs = 1_000
    return send({ type: 'tick' }).filter(({ type }) => type === 'evict').length
  }
  // 1000 + 600 bytes and three rows are 2.85 ms.
  expect(numEvicted(2.9)).toBe(1)
  expect(numEvicted(2.8)).toBe(0)
})
