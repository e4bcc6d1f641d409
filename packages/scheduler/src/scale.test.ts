import { expect, test } from 'vitest'
import { nodeStatus, task } from './testing/fixtures.ts'
import { start } from './testing/start.ts'

const startTicking = () => {
  const scheduler = start({
    scaleUpAfterMs: 500,
    scaleDownAfterMs: 2_000,
    heartbeatTimeoutMs: 10 ** 9,
  })
  /** Ticks for so long; returns what was wanted on the way. */
  const pass = (durationMs: number): number[] => {
    const wanted: number[] = []
    for (let passed = 0; passed < durationMs; passed += 100) {
      scheduler.clock.nowMs += 100
      for (const command of scheduler.handle({ type: 'tick' })) {
        if (command.type === 'decide' && command.decision.kind === 'scale') {
          wanted.push(command.decision.wanted ?? -1)
        }
      }
    }
    return wanted
  }
  return { ...scheduler, pass }
}

test('a node more is wanted once none has been lightly loaded for long enough', () => {
  const { report, submit, end, pass, scaleHint } = startTicking()
  report(nodeStatus('a'))
  for (let i = 0; i < 3; i++) submit(task(`r${i}`))
  expect(pass(500)).toEqual([])
  // Lightly loaded for a moment: it starts anew.
  end('a', 'r0')
  expect(pass(100)).toEqual([])
  submit(task('r3'))
  expect(pass(500)).toEqual([])
  expect(pass(100)).toEqual([2])
  expect(pass(5_000)).toEqual([])
  expect(scaleHint()).toEqual({
    wanted: 2,
    reason: 'none of 1 nodes is lightly loaded, and 0 requests wait',
  })
  report(nodeStatus('b'))
  expect(pass(5_000)).toEqual([])
})

test('as many more are wanted as would hold those that wait', () => {
  const { report, submit, pass } = startTicking()
  report(nodeStatus('a'))
  for (let i = 0; i < 4 + 9; i++) submit(task(`r${i}`))
  expect(pass(1_000)).toEqual([1 + 3])
})

test('nodes without load are wanted no more after a while, but one stays light', () => {
  const { report, submit, pass } = startTicking()
  for (const nodeId of ['a', 'b', 'c', 'd']) report(nodeStatus(nodeId))
  for (let i = 0; i < 3; i++) submit(task(`r${i}`))
  expect(pass(2_000)).toEqual([])
  expect(pass(100)).toEqual([2])
})

test('a load that comes and goes changes nothing', () => {
  const { report, submit, end, pass } = startTicking()
  report(nodeStatus('a'))
  report(nodeStatus('b'))
  const wanted: number[] = []
  for (let round = 0; round < 20; round++) {
    for (let i = 0; i < 3; i++) submit(task(`${round}-${i}`))
    wanted.push(...pass(1_000))
    for (let i = 0; i < 3; i++) end('b', `${round}-${i}`)
    wanted.push(...pass(1_000))
  }
  expect(wanted).toEqual([])
})

test('no more nodes are wanted than the pool may have', () => {
  const { handle, report, submit, pass, scaleHint } = startTicking()
  handle({ type: 'poolChanged', limits: { maxNodes: 2, interTokenTargetMs: null } })
  report(nodeStatus('a'))
  for (let i = 0; i < 4 + 9; i++) submit(task(`r${i}`))
  expect(pass(1_000)).toEqual([2])
  expect(scaleHint()?.reason).toContain('the pool may have 2')
  handle({ type: 'poolChanged', limits: { maxNodes: null, interTokenTargetMs: null } })
  expect(pass(1_000)).toEqual([4])
})
