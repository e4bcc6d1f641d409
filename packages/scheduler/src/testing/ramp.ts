import type { Task } from '@punica/schema'
import type { Command, SchedulerEvent } from '../events.ts'
import { createScheduler } from '../scheduler.ts'
import { nodeStatus, options, task } from './fixtures.ts'
import type { Random } from './random.ts'

const numNodes = 16
const maxBatchSize = 32
const hourMs = 3_600_000
const stepMs = 250
const tokensPerStep = 3
const statusEverySteps = 4

type Running = { task: Task; nodeId: string; numTokens: number; end: number }
type Bare<E> = E extends unknown ? Omit<E, 'nowMs'> : never

/** Requests a second: up to ten in half an hour, and down again. */
const rateAt = (timeMs: number): number => 10 * (1 - Math.abs((2 * timeMs) / hourMs - 1))

/**
 * The paper's cluster and its hour, in steps in which every request makes three tokens. Messages take
 * no time, but a request that moves is submitted again in the next step.
 */
export const runRamp = (random: Random, consolidationIntervalMs: number | null) => {
  const scheduler = createScheduler({ ...options, consolidationIntervalMs })
  const running = new Map<string, Running>()
  const ends = new Map<string, number>()
  let submissions: Task[] = []
  let numArrived = 0
  let numMoves = 0
  let nowMs = 0

  const send = (event: Bare<SchedulerEvent>): void => {
    for (const command of scheduler.handle({ nowMs, ...event })) perform(command)
  }

  const perform = (command: Command): void => {
    if (command.type === 'assign') {
      const { nodeId, task: given } = command
      const { requestId, attempt, tokens } = given
      const end = ends.get(requestId) ?? 0
      running.set(requestId, { task: given, nodeId, numTokens: tokens.length, end })
      send({ type: 'assignAccepted', nodeId, requestId, attempt })
    }
    if (command.type === 'evict') {
      const moved = running.get(command.requestId)
      if (moved === undefined) return
      numMoves++
      const tokens = new Array<number>(moved.numTokens).fill(1)
      submissions.push({ ...moved.task, attempt: moved.task.attempt + 1, tokens })
      leave(moved, 'evicted')
    }
  }

  const leave = ({ task: { requestId, attempt }, nodeId }: Running, reason: 'evicted' | 'stop') => {
    running.delete(requestId)
    send({ type: 'ended', nodeId, requestId, attempt, reason, byPressure: false })
  }

  const arrive = (): void => {
    const requestId = `r${numArrived++}`
    const numTokens = 1 + random.below(500)
    const maxNewTokens = 1_024
    ends.set(requestId, numTokens + 1 + random.below(maxNewTokens))
    const deadlineMs = 2 * hourMs
    submissions.push(task(requestId, { numTokens, maxNewTokens, arrivalMs: nowMs, deadlineMs }))
  }

  const report = (nodeId: string): void => {
    const own = [...running.values()].filter((other) => other.nodeId === nodeId)
    const requests = own.map(({ task: { requestId, attempt }, numTokens }) => ({
      requestId,
      attempt,
      numTokens,
    }))
    const numUsed = own.reduce((sum, { numTokens }) => sum + Math.ceil((numTokens + 1) / 16), 0)
    const numPages = 6_000
    const pages = { maxContext: 4_096, numPages, freePages: numPages - numUsed }
    send({ type: 'nodeReported', status: nodeStatus(nodeId, { maxBatchSize, ...pages, requests }) })
  }

  /** Returns how many nodes are active, and the fewest that could hold what is running. */
  const step = (index: number): { numActive: number; lowerBound: number } => {
    nowMs = index * stepMs
    if (index % statusEverySteps === 0) {
      for (let node = 0; node < numNodes; node++) report(`n${node}`)
    }
    send({ type: 'gatewayReported', gatewayId: 'gw', leaving: false })
    // A hundred chances for each step make it as good as Poisson's.
    for (let i = 0; i < 100; i++) {
      if (random.chance((rateAt(nowMs) * stepMs) / 1_000 / 100)) arrive()
    }
    const submitted = submissions
    submissions = []
    for (const what of submitted) send({ type: 'submitted', task: what })
    for (const request of [...running.values()]) {
      request.numTokens += tokensPerStep
      if (request.numTokens >= request.end) leave(request, 'stop')
    }
    send({ type: 'tick' })
    const numActive = new Set([...running.values()].map(({ nodeId }) => nodeId)).size
    return { numActive, lowerBound: Math.ceil(running.size / maxBatchSize) }
  }

  const samples = Array.from({ length: hourMs / stepMs }, (_, index) => step(index))
  return { samples, numArrived, numMoves }
}
