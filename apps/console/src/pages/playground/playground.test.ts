import { expect, test } from 'vitest'
import { describeRun, speedOf } from './speed.ts'
import { type Answer, addAnswers, type Run } from './use-run.ts'

const answer = (model: string, changes: Partial<Answer> = {}): Answer => ({
  __typename: 'PlaygroundAnswer',
  model,
  text: '',
  numTokens: 0,
  nodeId: null,
  adaptersInBatch: 0,
  timeToFirstTokenMs: null,
  generationMs: 0,
  finishReason: null,
  problem: null,
  ...changes,
})

const run: Run = { models: ['a', 'b'], isRunning: true, answers: {}, problem: null }

test('text is put behind what came before, each to its model', () => {
  const first = addAnswers(run, [answer('a', { text: 'la' }), answer('b', { text: 'x' })])
  const second = addAnswers(first, [answer('a', { text: ' li', numTokens: 2 })])
  expect(second.answers).toMatchObject({ a: { text: 'la li', numTokens: 2 }, b: { text: 'x' } })
})

test('speed counts the time between tokens, and two are needed for it', () => {
  expect(speedOf(answer('a', { numTokens: 1, generationMs: 0 }))).toBeNull()
  expect(speedOf(answer('a', { numTokens: 11, generationMs: 100 }))).toBe(100)
})

test('says whether the answers come from one batch', () => {
  expect(describeRun(run)).toBe('')
  const one = { numTokens: 11, generationMs: 100, adaptersInBatch: 2 }
  const same = addAnswers(run, [
    answer('a', { ...one, nodeId: 'node-1' }),
    answer('b', { ...one, nodeId: 'node-1' }),
  ])
  expect(describeRun(same)).toBe(
    '2 of 2 models on one GPU, node-1; up to 2 distinct adapters in one batch; 200 tokens/s together.',
  )
  const apart = addAnswers(same, [answer('b', { ...one, nodeId: 'node-2' })])
  expect(describeRun(apart)).toContain('on 2 GPUs')
})
