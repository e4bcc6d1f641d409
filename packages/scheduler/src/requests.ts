import { errors, type Task } from '@punica/schema'
import { admitWaiting, servingNodes } from './admit.ts'
import type { SchedulerEvent } from './events.ts'
import { type Placement, placementKey } from './ledger.ts'
import { interrupt } from './nodes.ts'
import { whyNoRoom } from './place.ts'
import type { Waiting } from './queue.ts'
import {
  abandon,
  aboutPlacement,
  attemptOf,
  decide,
  dequeue,
  enqueue,
  forget,
  gatewayOf,
  reject,
  type State,
} from './state.ts'

type Of<T extends SchedulerEvent['type']> = Extract<SchedulerEvent, { type: T }>

/** A repeated submission changes nothing; a newer attempt takes the place of the older one. */
export const submitted = (state: State, { task }: Of<'submitted'>): void => {
  state.gateways.set(task.gatewayId, state.nowMs)
  const known = state.requests.get(task.requestId)
  if (known !== undefined) {
    if (gatewayOf(known) !== task.gatewayId && gatewayOf(known) !== null) {
      refuseTask(state, task, { code: 'conflict', message: 'This request id is in use' })
      return
    }
    if (task.attempt <= attemptOf(known)) return
    if (known.type === 'waiting') dequeue(state, known)
    else abandon(state, known)
  }
  // What has begun is never refused for want of room in the queue: its client has tokens already,
  // and there cannot be more of these than the nodes have held.
  if (task.attempt === 0 && state.queue.size >= state.options.maxQueue) {
    refuseTask(state, task, overloaded(state))
    return
  }
  const waiting: Waiting = { type: 'waiting', task, numRefusals: 0 }
  enqueue(state, waiting)
  admitWaiting(state)
  if (state.requests.get(task.requestId) === waiting) decideQueued(state, waiting)
}

export const cancelled = (state: State, { requestId, gatewayId }: Of<'cancelled'>): void => {
  const request = state.requests.get(requestId)
  if (request === undefined || (gatewayOf(request) ?? gatewayId) !== gatewayId) return
  cancel(state, request, 'its gateway cancelled it')
  admitWaiting(state)
}

export const cancel = (state: State, request: Waiting | Placement, reason: string): void => {
  if (request.type === 'waiting') {
    const { requestId, tenant } = request.task
    dequeue(state, request)
    decide(state, 'cancel', `${reason} while it waited`, { requestId, tenant })
  } else {
    abandon(state, request)
    decide(state, 'cancel', reason, aboutPlacement(request))
  }
}

export const assignAccepted = (state: State, event: Of<'assignAccepted'>): void => {
  const placement = findPlacement(state, event)
  if (placement !== undefined) placement.waiting = null
}

export const assignRefused = (state: State, event: Of<'assignRefused'>): void => {
  const node = state.nodes.get(event.nodeId)
  const placement = findPlacement(state, event)
  if (node === undefined || placement === undefined) return
  const { waiting, unwanted } = placement
  forget(state, node, placement)
  if (waiting !== null && !unwanted) {
    const again: Waiting = { ...waiting, numRefusals: waiting.numRefusals + 1 }
    enqueue(state, again)
    const mayPass = errors[event.error.code].retryable
    if (mayPass) node.suspect = true
    if (!mayPass || again.numRefusals >= state.options.maxRefusals) {
      reject(state, again, event.error)
    } else {
      const reason = `node refused it: ${event.error.message}`.slice(0, 256)
      decide(state, 'queue', reason, aboutPlacement(placement))
    }
  }
  admitWaiting(state)
}

/**
 * The node may run it all the same, and the same attempt must never be in two places: the node is
 * told to drop it, and its gateway submits it as the next attempt.
 */
export const assignUnanswered = (state: State, event: Of<'assignUnanswered'>): void => {
  const node = state.nodes.get(event.nodeId)
  const placement = findPlacement(state, event)
  if (node === undefined || placement === undefined || placement.mentioned) return
  node.suspect = true
  forget(state, node, placement)
  const { nodeId, requestId, attempt } = placement
  state.commands.push({ type: 'cancel', nodeId, requestId, attempt })
  if (!placement.unwanted) {
    interrupt(state, placement, 'assign_unanswered', 'its node did not answer the assignment')
  }
  admitWaiting(state)
}

export const ended = (state: State, event: Of<'ended'>): void => {
  const node = state.nodes.get(event.nodeId)
  const placement = findPlacement(state, event)
  if (node === undefined || placement === undefined) return
  forget(state, node, placement)
  if (event.reason === 'evicted') {
    const reason = event.byPressure
      ? 'no KV page was left and it was the newest request of its node'
      : 'its node let go of it'
    decide(state, 'evict', reason, aboutPlacement(placement))
  }
  noteEnd(state)
  admitWaiting(state)
}

/** Requests whose deadline has passed in the queue; those on nodes are their gateway's to cancel. */
export const rejectOverdue = (state: State): void => {
  for (const waiting of state.queue.list()) {
    if (waiting.task.deadlineMs > state.nowMs) continue
    const waitedMs = state.nowMs - waiting.task.arrivalMs
    const message = `The request waited ${waitedMs} ms for a node, up to its deadline`
    reject(state, waiting, { code: 'deadline_exceeded', message })
  }
}

const findPlacement = (
  state: State,
  { nodeId, requestId, attempt }: { nodeId: string; requestId: string; attempt: number },
): Placement | undefined =>
  state.nodes.get(nodeId)?.placements.get(placementKey(requestId, attempt))

const refuseTask = (
  state: State,
  { gatewayId, requestId, attempt, tenant }: Task,
  error: Parameters<typeof reject>[2],
): void => {
  state.commands.push({ type: 'reject', gatewayId, requestId, attempt, error })
  decide(state, 'refuse', error.message.slice(0, 256), { requestId, tenant })
}

const decideQueued = (state: State, { task }: Waiting): void => {
  const { requestId, tenant } = task
  const reason =
    state.queue.first()?.task === task
      ? whyNoRoom(task, servingNodes(state))
      : `${state.queue.size - 1} other requests wait`
  decide(state, 'queue', reason, { requestId, tenant })
}

const overloaded = (state: State) => ({
  code: 'overloaded' as const,
  message: `The pool's queue is full: ${state.queue.size} requests wait. Try again later.`,
  retryAfterMs: Math.round(
    Math.min(30_000, Math.max(1_000, state.queue.size * state.endIntervalMs)),
  ),
})

/** A moving average over about sixteen ends; a pause counts for at most ten seconds. */
const noteEnd = (state: State): void => {
  const intervalMs = Math.min(10_000, Math.max(0, state.nowMs - (state.lastEndMs ?? state.nowMs)))
  if (state.lastEndMs !== null) state.endIntervalMs += (intervalMs - state.endIntervalMs) / 16
  state.lastEndMs = state.nowMs
}
