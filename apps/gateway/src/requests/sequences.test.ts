import { memoryBus } from '@punica/bus'
import { channels, type GatewayStatus } from '@punica/schema'
import { noTracing, pino } from '@punica/service'
import { loadTokenizer } from '@punica/tokenizer'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { createFakePool, createMailbox, type FakePool } from '../testing/fake-pool.ts'
import { modelFolder } from '../testing/fixtures.ts'
import { createAnswerText } from './answer-text.ts'
import { createSequences, type SequenceNews, type Sequences } from './sequences.ts'

const tokenizer = await loadTokenizer(modelFolder)
const answer = 'The little boat went far out on the blue sea.'
const answerTokens = tokenizer.encode(answer)
const numTokens = answerTokens.length

let bus: ReturnType<typeof memoryBus>
let pool: FakePool
let sequences: Sequences
let nowMs: number
let refused: string[]

beforeEach(() => {
  nowMs = 1_000
  refused = []
  bus = memoryBus()
  pool = createFakePool(bus, 'gw')
  const log = pino({ level: 'silent' })
  sequences = createSequences({
    refusals: { refuse: (_, reason) => void refused.push(reason) },
    bus,
    log,
    pool: 'default',
    gatewayId: 'gw',
    clock: () => nowMs,
    maxHoldMs: 3_000,
    maxHeld: 2,
  })
})

afterEach(() => {
  vi.useRealTimers()
  sequences.close()
})

/** Time passes as it does for a gateway that is never held up. */
const pass = (ms: number): void => {
  for (const endMs = nowMs + ms; nowMs < endMs; ) {
    nowMs += 1_000
    sequences.tick(nowMs)
  }
}

/** Starts a sequence; `text` resolves with the whole answer, and fails where it fails. */
const start = (requestId = 'r-0', stops: string[] = []) => {
  let text = ''
  const { put, take: next } = createMailbox<SequenceNews>()
  const { cancel } = sequences.start({
    span: noTracing.start('request'),
    task: {
      requestId,
      gatewayId: 'gw',
      tenant: 'acme',
      adapter: null,
      maxNewTokens: 100,
      stopTokens: [2],
      ignoreEos: false,
      sampling: { seed: 1 },
      arrivalMs: nowMs,
      deadlineMs: nowMs + 60_000,
    },
    promptTokens: [1, 7],
    text: createAnswerText(tokenizer.createDetokenizer(), stops),
    listener: put,
  })
  const whole = async (): Promise<string> => {
    for (;;) {
      const news = await next()
      if (news.type === 'delta') text += news.text
      if (news.type === 'finished') return text
      if (news.type === 'failed') throw Object.assign(new Error('failed'), news.error)
    }
  }
  return { next, whole, cancel }
}

test('tokens become text until the node says that it is done', async () => {
  const { whole } = start()
  const task = await pool.nextTask()
  const node = pool.node('n1')
  for (const [from, token] of answerTokens.entries()) node.send({ task, tokens: [token], from })
  node.send({ task, end: 'stop', numTokens })
  expect(await whole()).toBe(answer)
  expect(sequences.numRunning()).toBe(0)
})

test('an eviction in the middle is invisible to the client', async () => {
  const { whole } = start()
  const first = await pool.nextTask()
  pool
    .node('n1')
    .send(
      { task: first, tokens: answerTokens.slice(0, 5), from: 0 },
      { task: first, end: 'evicted', numTokens: 5 },
    )
  const second = await pool.nextTask()
  expect(second).toMatchObject({
    attempt: 1,
    numPromptTokens: 2,
    tokens: [1, 7, ...answerTokens.slice(0, 5)],
    arrivalMs: first.arrivalMs,
  })
  pool
    .node('n2')
    .send(
      { task: second, tokens: answerTokens.slice(5), from: 5 },
      { task: second, end: 'stop', numTokens },
    )
  expect(await whole()).toBe(answer)
})

test('duplicates and a lost batch leave the text whole', async () => {
  const { whole } = start()
  const task = await pool.nextTask()
  const node = pool.node('n1')
  node.send({ task, tokens: answerTokens.slice(0, 3), from: 0 })
  node.send({ task, tokens: answerTokens.slice(1, 4), from: 1 })
  node.drop({ task, tokens: answerTokens.slice(4, 6), from: 4 })
  node.drop({ task, tokens: answerTokens.slice(6, 7), from: 6 })
  node.send({ task, tokens: answerTokens.slice(7), from: 7 })
  node.send({ task, end: 'stop', numTokens })
  expect(await whole()).toBe(answer)
})

test('a lost end is found by the heartbeat', async () => {
  const { whole } = start()
  const task = await pool.nextTask()
  const node = pool.node('n1')
  node.send({ task, tokens: answerTokens, from: 0 })
  node.drop({ task, end: 'stop', numTokens })
  node.heartbeat()
  expect(await whole()).toBe(answer)
})

test('what cannot be replayed is generated again', async () => {
  const { whole } = start()
  const first = await pool.nextTask()
  const node = pool.node('n1')
  node.send({ task: first, tokens: answerTokens.slice(0, 3), from: 0 })
  node.drop({ task: first, tokens: answerTokens.slice(3, 6), from: 3 })
  node.forget()
  node.send({ task: first, tokens: answerTokens.slice(6, 7), from: 6 })
  node.forget()
  const second = await pool.nextTask()
  expect(second).toMatchObject({ attempt: 1, tokens: [1, 7, ...answerTokens.slice(0, 3)] })
  node.send({ task: first, tokens: [5, 5, 5], from: 3 })
  node.send({ task: second, tokens: answerTokens.slice(3), from: 3 })
  node.send({ task: second, end: 'stop', numTokens })
  expect(await whole()).toBe(answer)
})

test('what another node says of a sequence that runs elsewhere is refused', async () => {
  const { whole } = start()
  const task = await pool.nextTask()
  const [own, other] = [pool.node('n1'), pool.node('n2')]
  own.send({ task, tokens: answerTokens.slice(0, 4), from: 0 })
  other.send({ task, tokens: [5, 5], from: 4 }, { task, end: 'stop', numTokens: 6 })
  own.send({ task, tokens: answerTokens.slice(4), from: 4 }, { task, end: 'stop', numTokens })
  expect(await whole()).toBe(answer)
  expect(refused).toEqual(['wrong_node', 'wrong_node', 'wrong_node'])
})

test('a lost node is left when the router says so', async () => {
  const { whole } = start()
  const first = await pool.nextTask()
  pool.node('n1').send({ task: first, tokens: answerTokens.slice(0, 4), from: 0 })
  await bus.flush()
  pool.interrupt(first)
  const second = await pool.nextTask()
  pool
    .node('n2')
    .send(
      { task: second, tokens: answerTokens.slice(4), from: 4 },
      { task: second, end: 'stop', numTokens },
    )
  expect(await whole()).toBe(answer)
})

test('a node that is silent for long is left even if no router says so', async () => {
  const { next } = start()
  const first = await pool.nextTask()
  const node = pool.node('n1')
  node.send({ task: first, tokens: answerTokens.slice(0, 1), from: 0 })
  await next()
  pass(4_000)
  node.heartbeat()
  await bus.flush()
  pass(4_000)
  await bus.flush()
  expect(pool.hasTask()).toBe(false)
  pass(4_000)
  expect((await pool.nextTask()).attempt).toBe(1)
})

test('a pause of the gateway itself makes nobody silent', async () => {
  const { next } = start()
  const first = await pool.nextTask()
  pool.node('n1').send({ task: first, tokens: answerTokens.slice(0, 1), from: 0 })
  await next()
  nowMs += 60_000
  sequences.tick(nowMs)
  pool.node('n1').heartbeat()
  await bus.flush()
  pass(2_000)
  await bus.flush()
  expect(pool.hasTask()).toBe(false)
})

test('a waiting sequence is offered again, so that a router that has restarted knows it', async () => {
  const { next } = start()
  await pool.nextTask()
  expect(await next()).toEqual({ type: 'accepted' })
  pass(16_000)
  expect((await pool.nextTask()).attempt).toBe(0)
})

describe('a new leader', () => {
  test('is offered what no node has, and told of the rest when it asks', async () => {
    const [a, b] = [start('a-0'), start('b-0')]
    const tasks = [await pool.nextTask(), await pool.nextTask()]
    const [first] = tasks
    if (first === undefined) throw new Error('no task')
    await Promise.all([a.next(), b.next()])
    pool.node('n1').send({ task: first, tokens: answerTokens.slice(0, 1), from: 0 })
    await a.next()
    const statuses = createMailbox<GatewayStatus>()
    bus.subscribe(channels.gatewayStatus('default'), statuses.put)
    pool.lead(7)
    expect(await pool.nextTask()).toMatchObject({ requestId: 'b-0', attempt: 0, wasQueued: true })
    expect((await statuses.take()).requests).toBe(2)
    const options = { timeoutMs: 1_000 }
    expect(await bus.request(channels.waiting('gw'), { epoch: 7, page: 0 }, options)).toEqual({
      requests: [
        { requestId: 'a-0', attempt: 0, nodeId: 'n1' },
        { requestId: 'b-0', attempt: 0, nodeId: null },
      ],
      isLast: true,
    })
    pool.lead(7)
    await bus.flush()
    expect(pool.hasTask()).toBe(false)
  })

  test('makes what an earlier one still says void', async () => {
    const { next } = start()
    const task = await pool.nextTask()
    await next()
    pool.lead(7)
    const again = await pool.nextTask()
    pool.speakAs(6)
    pool.reject(task, { code: 'internal', message: 'said by nobody' })
    pool.interrupt(task)
    await bus.flush()
    pool.speakAs(7)
    pool.interrupt(again)
    expect((await pool.nextTask()).attempt).toBe(1)
  })
})

test('a router that is away for a moment is asked again', async () => {
  vi.useFakeTimers()
  pool.answer(null)
  const { next } = start()
  await vi.advanceTimersByTimeAsync(150)
  pool.answer(() => ({ type: 'queued' }))
  await vi.advanceTimersByTimeAsync(5_000)
  expect(await next()).toEqual({ type: 'accepted' })
})

test('a router that stays away makes the call unavailable, after a while', async () => {
  vi.useFakeTimers()
  pool.answer(null)
  const { whole } = start()
  const failed = expect(whole()).rejects.toMatchObject({ code: 'unavailable', retryAfterMs: 1_000 })
  for (let i = 0; i < 50; i++) {
    nowMs += 100
    await vi.advanceTimersByTimeAsync(100)
  }
  await failed
  expect(await pool.nextCancel()).toBe('r-0')
})

test('only so many calls wait for a router, and what it has had is none of them', async () => {
  vi.useFakeTimers()
  const taken = start('taken')
  expect(await taken.next()).toEqual({ type: 'accepted' })
  pool.answer(null)
  const held = [start('a'), start('b')]
  await vi.advanceTimersByTimeAsync(10)
  await expect(start('c').whole()).rejects.toMatchObject({
    code: 'overloaded',
    retryAfterMs: 1_000,
  })
  pool.answer(() => ({ type: 'queued' }))
  pool.lead(2)
  await vi.advanceTimersByTimeAsync(10)
  for (const { next } of held) expect(await next()).toEqual({ type: 'accepted' })
  pool.answer(null)
  const { next } = start('d')
  await vi.advanceTimersByTimeAsync(10)
  pool.answer(() => ({ type: 'queued' }))
  pool.lead(3)
  await vi.advanceTimersByTimeAsync(10)
  expect(await next()).toEqual({ type: 'accepted' })
})

test('a refusal and a rejection reach the client in the words of the router', async () => {
  const error = { code: 'overloaded' as const, message: 'The queue is full', retryAfterMs: 700 }
  pool.answer(() => ({ type: 'refused', error }))
  await expect(start('r-0').whole()).rejects.toMatchObject(error)

  pool.answer(() => ({ type: 'queued' }))
  const { whole } = start('r-1')
  await pool.nextTask()
  const task = await pool.nextTask()
  const tooLarge = { code: 'context_length_exceeded' as const, message: 'Too large' }
  pool.reject(task, tooLarge)
  await expect(whole()).rejects.toMatchObject(tooLarge)
})

test('a stop string and a client that goes away are cancelled at the router', async () => {
  const { whole } = start('r-0', ['boat'])
  const task = await pool.nextTask()
  pool.node('n1').send({ task, tokens: answerTokens, from: 0 })
  expect(await whole()).toBe('The little ')
  expect(await pool.nextCancel()).toBe('r-0')
  start('r-1').cancel()
  expect(await pool.nextCancel()).toBe('r-1')
})

test('a node that goes on for nobody is told to stop, now and then', async () => {
  const node = pool.node('n1')
  const task = { requestId: 'old', attempt: 0 }
  const send = (from: number): void =>
    bus.publish(channels.tokens('gw'), {
      nodeId: 'n9',
      incarnation: 'a',
      seq: from + 1,
      batchSize: 1,
      numAdapters: 0,
      tokens: [{ ...task, index: from, token: 5 }],
      ends: [],
    })
  node.heartbeat()
  send(0)
  expect(await pool.nextCancel()).toBe('old')
  send(1)
  await bus.flush()
  nowMs += 3_000
  send(2)
  expect(await pool.nextCancel()).toBe('old')
})

test('the pool hears that the gateway lives', async () => {
  const statuses = createMailbox<GatewayStatus>()
  bus.subscribe(channels.gatewayStatus('default'), statuses.put)
  start()
  sequences.tick(nowMs)
  expect(await statuses.take()).toEqual({ gatewayId: 'gw', requests: 1, leaving: false })
})
