import type { Command, SchedulerEvent } from '../events.ts'
import type { SchedulerOptions } from '../options.ts'
import { createScheduler } from '../scheduler.ts'
import type { Message } from './fake-node.ts'
import { options } from './fixtures.ts'
import { createInvariants } from './invariants.ts'
import { createRandom } from './random.ts'
import { createWorld, tenants } from './world.ts'

/** Every second history has nodes with room to consolidate into, every third a pace to keep. */
export const historyOptions = (seed: number): SchedulerOptions => ({
  ...options,
  maxQueue: 20,
  maxQueuePerTenant: 12,
  consolidationIntervalMs: 200,
  minMoveIntervalMs: 2_000,
  minRemainingTokens: 5,
  scaleUpAfterMs: 500,
  scaleDownAfterMs: 2_000,
  targetInterTokenMs: seed % 3 === 0 ? 5.2 : null,
})

/** Runs one random history to its end, checking what must hold after every event. */
export const runHistory = (seed: number) => {
  const random = createRandom(seed)
  const numPages = seed % 2 === 0 ? 64 : 16
  const world = createWorld(random, { numNodes: 1 + random.below(5), numPages })
  const scheduler = createScheduler(historyOptions(seed))
  const invariants = createInvariants(scheduler, historyOptions(seed))
  const history: { event: SchedulerEvent; commands: Command[] }[] = []
  let nowMs = 1_000_000

  const send = (message: Message): void => {
    const event: SchedulerEvent = { nowMs, ...message }
    const commands = scheduler.handle(event)
    history.push({ event, commands })
    invariants.check(event, commands)
    world.deliver(commands)
  }

  const sendNext = (messages: Message[]): void => {
    const message = messages.shift()
    if (message !== undefined) send(message)
  }

  const changeTenant = (): void => {
    const slug = random.pick(tenants) ?? ''
    const record = {
      slug,
      suspended: false,
      weight: 1 + random.below(3),
      maxConcurrentRequests: random.chance(0.5) ? 3 + random.below(5) : null,
      maxTokensPerMinute: random.chance(0.3) ? 2_000 + random.below(2_000) : null,
    }
    send({ type: 'tenantChanged', tenant: slug, record: random.chance(0.2) ? null : record })
  }

  const command = (nodeId: string): void => {
    const type = random.pick([
      'nodeCordoned',
      'nodeDrained',
      'nodeUncordoned',
      'nodeUncordoned',
    ] as const)
    if (type !== undefined) send({ type, nodeId })
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
    else if (what < 820) node.step(() => random.chance(0.05))
    else if (what < 940) node.report()
    else if (what < 943) for (const unanswered of node.restart()) send(unanswered)
    else if (what < 950) command(node.nodeId)
    else if (what < 955) changeTenant()
    else if (what < 980) send({ type: 'gatewayReported', gatewayId: 'gw', leaving: false })
    else send({ type: 'tick' })
    invariants.checkDistinct(world.nodes.flatMap(({ running }) => [...running.keys()]))
  }

  for (const node of world.nodes) node.losesEnds = () => random.chance(0.1)
  for (let i = 0; i < 3_000; i++) {
    nowMs += random.below(20)
    disturb()
  }

  // No more arrivals or losses, and every message is delivered: everything comes to an end.
  for (const node of world.nodes) {
    node.losesEnds = () => false
    send({ type: 'nodeUncordoned', nodeId: node.nodeId })
  }
  for (let round = 0; round < 600; round++) {
    nowMs += 100
    send({ type: 'gatewayReported', gatewayId: 'gw', leaving: false })
    while (world.submissions.length > 0) sendNext(world.submissions)
    for (const node of world.nodes) {
      while (node.inbox.length > 0) node.read(false)
      node.step(() => random.chance(0.05))
      node.report()
      while (node.outbox.length > 0) sendNext(node.outbox)
    }
    send({ type: 'tick' })
  }
  return { history, world, scheduler, lastMs: nowMs }
}

export type History = ReturnType<typeof runHistory>
