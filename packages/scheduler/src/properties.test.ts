import type { NodeStatus } from '@punica/schema'
import { expect, test } from 'vitest'
import type { Command, SchedulerEvent } from './events.ts'
import { createScheduler, type Scheduler } from './scheduler.ts'
import type { Message } from './testing/fake-node.ts'
import { options } from './testing/fixtures.ts'
import { createRandom } from './testing/random.ts'
import { createWorld } from './testing/world.ts'

const seeds = Array.from({ length: 25 }, (_, i) => i + 1)

type AttemptId = { requestId: string; attempt: number }
const key = ({ requestId, attempt }: AttemptId): string => `${requestId} ${attempt}`

const expectDistinct = (items: readonly string[]): void => {
  expect(new Set(items).size).toBe(items.length)
}

/** What must hold after every event. */
const check = (scheduler: Scheduler, commands: readonly Command[]): void => {
  const { queue, nodes } = scheduler.snapshot()

  // An attempt is in one place, and only one attempt of a request is wanted.
  const placed = nodes.flatMap(({ requests }) => requests)
  expectDistinct([...queue, ...placed].map(key))
  const wanted = [...queue, ...placed.filter(({ unwanted }) => !unwanted)]
  expectDistinct(wanted.map(({ requestId }) => requestId))

  // A node that was given something is within its limits, as ledgered.
  for (const command of commands) {
    if (command.type !== 'assign') continue
    const node = nodes.find(({ nodeId }) => nodeId === command.nodeId)
    expect(node?.state).toBe('ready')
    expect(node?.requests.length).toBeLessThanOrEqual(node?.maxBatchSize ?? 0)
    expect(node?.freePages).toBeGreaterThanOrEqual(0)
  }
}

/** Runs one random history to its end and returns it. */
const runHistory = (seed: number) => {
  const random = createRandom(seed)
  const world = createWorld(random, 1 + random.below(5))
  const scheduler = createScheduler({ ...options, maxQueue: 20 })
  const arrivals = new Map<string, number>()
  const history: { event: SchedulerEvent; commands: Command[] }[] = []
  const statuses = new Map<string, NodeStatus>()
  const numTokens = new Map<string, number>()
  let nowMs = 0

  /** Counted here again: what the newest status does not name fits what it calls free. */
  const checkPages = (assigned: ReadonlySet<string>): void => {
    for (const { nodeId, requests } of scheduler.snapshot().nodes) {
      if (!assigned.has(nodeId)) continue
      const status = statuses.get(nodeId)
      const named = new Set(status?.requests.map(key))
      const pages = requests
        .filter((request) => !named.has(key(request)))
        .map((request) => Math.ceil(((numTokens.get(key(request)) ?? 0) + 1) / 16))
      const sum = pages.reduce((total, count) => total + count, 0)
      expect(sum).toBeLessThanOrEqual(status?.freePages ?? 0)
    }
  }

  const send = (message: Message): void => {
    const event: SchedulerEvent = { nowMs, ...message }
    const commands = scheduler.handle(event)
    history.push({ event, commands })
    if (event.type === 'submitted') arrivals.set(event.task.requestId, event.task.arrivalMs)
    if (event.type === 'nodeReported') statuses.set(event.status.nodeId, event.status)
    const assigned = new Set<string>()
    for (const command of commands) {
      if (command.type !== 'assign') continue
      assigned.add(command.nodeId)
      numTokens.set(key(command.task), command.task.tokens.length)
    }
    check(scheduler, commands)
    checkPages(assigned)
    // First come, first served: nothing that waits came before something that was assigned now.
    const first = scheduler.snapshot().queue[0]
    for (const command of commands) {
      if (command.type !== 'assign' || first === undefined) continue
      expect(command.task.arrivalMs).toBeLessThanOrEqual(arrivals.get(first.requestId) ?? 0)
    }
    world.deliver(commands)
  }

  const sendNext = (messages: Message[]): void => {
    const message = messages.shift()
    if (message !== undefined) send(message)
  }

  const disturb = (): void => {
    const node = random.pick(world.nodes)
    if (node === undefined) return
    const what = random.below(1_000)
    if (what < 60) world.arrive(nowMs)
    else if (what < 65) world.depart()
    else if (what < 150) sendNext(world.submissions)
    else if (what < 350) node.read(random.chance(0.05))
    else if (what < 600) sendNext(node.outbox)
    else if (what < 850) node.step(() => random.chance(0.1))
    else if (what < 950) node.report()
    else if (what < 953) for (const unanswered of node.restart()) send(unanswered)
    else if (what < 980) send({ type: 'gatewayReported', gatewayId: 'gw', leaving: false })
    else send({ type: 'tick' })
    expectDistinct(world.nodes.flatMap(({ running }) => [...running.keys()]))
  }

  for (const node of world.nodes) node.losesEnds = () => random.chance(0.1)
  for (let i = 0; i < 3_000; i++) {
    nowMs += random.below(20)
    disturb()
  }

  // No more arrivals or losses, and every message is delivered: everything comes to an end.
  for (const node of world.nodes) node.losesEnds = () => false
  for (let round = 0; round < 1_000; round++) {
    nowMs += 100
    send({ type: 'gatewayReported', gatewayId: 'gw', leaving: false })
    while (world.submissions.length > 0) sendNext(world.submissions)
    for (const node of world.nodes) {
      while (node.inbox.length > 0) node.read(false)
      node.step(() => random.chance(0.1))
      node.report()
      while (node.outbox.length > 0) sendNext(node.outbox)
    }
    send({ type: 'tick' })
  }
  return { history, world, scheduler }
}

test.each(seeds)('no history loses, doubles or overloads anything (seed %i)', (seed) => {
  const { history, world, scheduler } = runHistory(seed)

  const outcomes = [...world.clients.values()].map(({ outcome }) => outcome)
  expect(outcomes).not.toContain('open')
  const { queue, nodes } = scheduler.snapshot()
  expect(queue).toEqual([])
  expect(nodes.flatMap(({ requests }) => requests)).toEqual([])

  // Enough happened for this to mean something.
  expect(outcomes.filter((outcome) => outcome === 'done').length).toBeGreaterThan(50)
  const moves = history.flatMap(({ commands }) =>
    commands.filter((c) => c.type === 'decide' && c.decision.kind === 'move'),
  )
  expect(moves.length).toBeGreaterThan(5)
})

test('the same events give the same commands', () => {
  const { history } = runHistory(7)
  const again = createScheduler({ ...options, maxQueue: 20 })
  for (const { event, commands } of history) expect(again.handle(event)).toEqual(commands)
})
