import { describe, expect, test } from 'vitest'
import type { AnswerText } from './answer-text.ts'
import { createSequence, type SequenceCommand, type SequenceEvent } from './sequence.ts'

/** Every token is its number and a space; 99 completes a stop string. */
const numbers = (): AnswerText => ({
  push: (token) => ({ text: token === 99 ? '' : `${token} `, details: [], stopped: token === 99 }),
  flush: () => ({ text: '', details: [] }),
})

const start = ({ maxNewTokens = 10, ignoreEos = false } = {}) => {
  const sequence = createSequence(
    {
      requestId: 'r-0',
      gatewayId: 'gw',
      tenant: 'acme',
      adapter: null,
      maxNewTokens,
      stopTokens: [2],
      ignoreEos,
      sampling: { seed: 1 },
      arrivalMs: 1_000,
      deadlineMs: 2_000,
    },
    [7, 8],
    numbers(),
  )
  const log = sequence.start()
  return {
    sequence,
    /** Handles events in turn and returns the commands of the last one. */
    handle: (...events: SequenceEvent[]): SequenceCommand[] => {
      let last: SequenceCommand[] = []
      for (const event of events) {
        last = sequence.handle(event)
        log.push(...last)
      }
      return last
    },
    text: () => log.map((command) => (command.type === 'delta' ? command.text : '')).join(''),
    types: () => log.map(({ type }) => type),
  }
}

const from = { node: 'n1:a', nodeId: 'n1', numAdapters: 2 }
const token = (attempt: number, index: number, id = index + 10): SequenceEvent => ({
  type: 'token',
  attempt,
  index,
  token: id,
  from,
})
const ended = (
  attempt: number,
  reason: 'stop' | 'length' | 'evicted' | 'cancelled',
  numTokens: number,
): SequenceEvent => ({ type: 'ended', attempt, reason, numTokens })
const submission = (attempt: number, tokens: number[], delayMs: number) => ({
  type: 'submit',
  delayMs,
  task: expect.objectContaining({ attempt, tokens, numPromptTokens: 2, arrivalMs: 1_000 }),
})

describe('a sequence', () => {
  test('is submitted, accepted, told and finished', () => {
    const { sequence, handle, text, types } = start()
    handle({ type: 'queued', attempt: 0 }, token(0, 0), token(0, 1), ended(0, 'length', 2))
    expect(types()).toEqual(['submit', 'accepted', 'delta', 'delta', 'finished'])
    expect(text()).toBe('10 11 ')
    expect(sequence.numTokens()).toBe(2)
  })

  test('counts a token once, whatever comes twice', () => {
    const { handle, text } = start()
    handle(token(0, 0), token(0, 0), token(0, 1), token(0, 0), ended(0, 'length', 2))
    expect(text()).toBe('10 11 ')
  })

  test('stops at a stop string and has the rest cancelled', () => {
    const { handle, text } = start()
    const commands = handle(token(0, 0), token(0, 1, 99))
    expect(commands.map(({ type }) => type)).toEqual(['cancel', 'finished'])
    expect(commands.at(-1)).toMatchObject({ reason: 'stop', numTokens: 2 })
    expect(handle(token(0, 2), ended(0, 'length', 3))).toEqual([])
    expect(text()).toBe('10 ')
  })

  test.each<[string, SequenceEvent]>([
    ['evicted', ended(0, 'evicted', 2)],
    ['interrupted', { type: 'interrupted', attempt: 0 }],
    ['on a node whose messages are lost', { type: 'node_lost', node: 'n1:a' }],
    ['silent', { type: 'stalled' }],
    ['cancelled by nobody here', ended(0, 'cancelled', 2)],
    ['ended with tokens missing', ended(0, 'length', 3)],
    ['sent a token too far ahead', token(0, 3)],
    [
      'refused for a reason that passes',
      {
        type: 'refused',
        attempt: 0,
        error: { code: 'overloaded', message: '' },
      },
    ],
    [
      'stopped by a node that cannot go on',
      {
        type: 'ended',
        attempt: 0,
        reason: 'error',
        numTokens: 2,
        error: { code: 'unavailable', message: '' },
      },
    ],
  ])('that is %s goes on from its last token', (_, event) => {
    const { handle, text } = start()
    expect(handle(token(0, 0), token(0, 1), event)).toEqual([submission(1, [7, 8, 10, 11], 0)])
    handle(token(0, 2), token(1, 2), ended(0, 'stop', 9), ended(1, 'length', 3))
    expect(text()).toBe('10 11 12 ')
  })

  test('whose node is another one stays where it is', () => {
    const { handle } = start()
    expect(handle(token(0, 0), { type: 'node_lost', node: 'n2:a' })).toEqual([])
  })

  test('that has no node yet may have been on the lost one', () => {
    const { handle } = start()
    expect(handle({ type: 'node_lost', node: 'n2:a' })).toEqual([submission(1, [7, 8], 0)])
  })

  test('that waits in silence is submitted once more as the same attempt', () => {
    const { handle } = start()
    expect(handle({ type: 'queued', attempt: 0 }, { type: 'stalled' })).toEqual([
      submission(0, [7, 8], 0),
    ])
  })

  test.each<[string, object, SequenceEvent, string]>([
    ['has all its tokens', { maxNewTokens: 2 }, token(0, 1), 'length'],
    ['has its stop token', {}, token(0, 1, 2), 'stop'],
  ])('that %s needs no node to say that it has ended', (_, options, last, reason) => {
    const { handle } = start(options)
    expect(handle(token(0, 0), last, { type: 'interrupted', attempt: 0 })).toEqual([
      { type: 'finished', reason, numTokens: 2, from },
    ])
  })

  test('that is refused before its first token fails with the reason', () => {
    const { handle } = start()
    const error = { code: 'overloaded' as const, message: 'full', retryAfterMs: 500 }
    expect(handle({ type: 'refused', attempt: 0, error })).toEqual([{ type: 'failed', error }])
  })

  test('that failed on its node fails with the reason', () => {
    const { handle } = start()
    const error = { code: 'adapter_invalid' as const, message: 'no such tensor' }
    expect(handle({ type: 'ended', attempt: 0, reason: 'error', numTokens: 0, error })).toEqual([
      { type: 'failed', error },
    ])
  })

  test('that no router answers is tried again as the same attempt, and not for ever', () => {
    const { handle } = start()
    const delays: number[] = []
    let last = handle({ type: 'unanswered', attempt: 0 })
    for (; last[0]?.type === 'submit'; last = handle({ type: 'unanswered', attempt: 0 })) {
      expect(last[0].task.attempt).toBe(0)
      delays.push(last[0].delayMs)
    }
    expect(delays.slice(0, 7)).toEqual([100, 200, 400, 800, 1_600, 2_000, 2_000])
    expect(delays).toHaveLength(31)
    expect(last).toEqual([
      { type: 'cancel' },
      { type: 'failed', error: expect.objectContaining({ code: 'unavailable' }) },
    ])
  })

  test('that nobody will be offered again is cancelled, too, and fails with the reason', () => {
    const { handle } = start()
    const error = { code: 'unavailable' as const, message: 'too long' }
    expect(handle({ type: 'given_up', attempt: 0, error })).toEqual([
      { type: 'cancel' },
      { type: 'failed', error },
    ])
  })

  test('under a new leader is offered again as the same attempt, unless a node has it', () => {
    const { handle } = start()
    const again = { type: 'submit', delayMs: 0, task: { attempt: 0, tokens: [7, 8] } }
    expect(handle({ type: 'leader_changed' })).toMatchObject([again])
    handle({ type: 'queued', attempt: 0 })
    const taken = { ...again, task: { ...again.task, wasQueued: true } }
    expect(handle({ type: 'leader_changed' })).toMatchObject([taken])
    handle(token(0, 0, 5))
    expect(handle({ type: 'leader_changed' })).toEqual([])
  })

  test('that is moved without progress slows down and gives up', () => {
    const { handle } = start()
    const delays: number[] = []
    for (let attempt = 0; ; attempt++) {
      const [command] = handle(ended(attempt, 'evicted', 0))
      if (command?.type !== 'submit') break
      delays.push(command.delayMs)
    }
    expect(delays.slice(0, 6)).toEqual([0, 0, 0, 100, 200, 400])
    expect(delays).toHaveLength(32)
  })

  test('that makes progress may be moved any number of times', () => {
    const { handle, text } = start({ maxNewTokens: 1_000 })
    for (let attempt = 0; attempt < 200; attempt++) {
      handle(token(attempt, attempt, 5), ended(attempt, 'evicted', attempt + 1))
    }
    expect(text().trim().split(' ')).toHaveLength(200)
  })
})
