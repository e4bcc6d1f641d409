import { errors, type Task, type WireError } from '@punica/schema'
import { admitWaiting, assign, servingNodes } from './admit.ts'
import type { SchedulerEvent } from './events.ts'
import { type Node, type Placement, placementKey, removePlacement, toDemand } from './ledger.ts'
import { dropMove } from './moves.ts'
import { interrupt } from './nodes.ts'
import { hasRoom, whyNoRoom } from './place.ts'
import type { Waiting } from './queue.ts'
import {
  type Away,
  abandon,
  aboutPlacement,
  attemptOf,
  decide,
  dequeue,
  enqueue,
  forget,
  gatewayOf,
  isSettling,
  reject,
  release,
  type State,
  sendAway,
  settlePlacement,
  settleWaiting,
  type Tracked,
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
  }
  if (task.attempt === 0) submitNew(state, task)
  else submitAgain(state, task, known)
}

const submitNew = (state: State, task: Task): void => {
  const endMs = state.endIntervalMs * state.requests.size
  const error =
    task.wasQueued === true
      ? null
      : (state.tenants.refusal(task, state.nowMs, endMs) ?? overloaded(state, task.tenant))
  if (error !== null) {
    refuseTask(state, task, error)
    return
  }
  const charge = state.tenants.charge(task, state.nowMs)
  const waiting: Waiting = { type: 'waiting', task, numRefusals: 0, charge }
  enqueue(state, waiting)
  admitOrQueue(state, waiting)
}

/**
 * What has begun is never refused for want of room or quota: its client has tokens already, and there
 * cannot be more of these than the nodes have held.
 */
const submitAgain = (state: State, task: Task, known: Tracked | undefined): void => {
  const waiting: Waiting = { type: 'waiting', task, numRefusals: 0, charge: known?.charge ?? null }
  if (known?.type === 'waiting') dequeue(state, known)
  if (known?.type === 'placed') {
    known.charge = null
    abandon(state, known)
  }
  enqueue(state, waiting)
  const target = dropMove(state, task.requestId)
  if (target === null || !mayLand(state, target, task)) {
    admitOrQueue(state, waiting)
    return
  }
  assign(state, target, waiting, 'room was kept for it')
  admitWaiting(state)
}

/** The node may have changed since it was chosen. */
const mayLand = (state: State, target: Node, task: Task): boolean =>
  servingNodes(state).includes(target) && hasRoom(target, toDemand(task), state.pace.maxMs)

const admitOrQueue = (state: State, waiting: Waiting): void => {
  admitWaiting(state)
  if (state.requests.get(waiting.task.requestId) === waiting) decideQueued(state, waiting)
}

export const cancelled = (state: State, { requestId, gatewayId }: Of<'cancelled'>): void => {
  const request = state.requests.get(requestId)
  if (request === undefined) return
  if ((gatewayOf(request) ?? gatewayId) !== gatewayId) {
    decide(state, 'refuse', `${gatewayId} may not cancel what is not its own`, { requestId })
    return
  }
  cancel(state, request, 'its gateway cancelled it')
  admitWaiting(state)
}

export const cancel = (state: State, request: Tracked, reason: string): void => {
  switch (request.type) {
    case 'waiting': {
      const { requestId, tenant } = request.task
      dequeue(state, request)
      settleWaiting(state, request)
      decide(state, 'cancel', `${reason} while it waited`, { requestId, tenant })
      break
    }
    case 'placed':
      abandon(state, request)
      settlePlacement(state, request)
      dropMove(state, request.requestId)
      decide(state, 'cancel', reason, aboutPlacement(request))
      break
    case 'away':
      release(state, request)
      dropMove(state, request.requestId)
      decide(state, 'cancel', `${reason} while it moved`, aboutAway(request))
      break
  }
}

const aboutAway = ({ requestId, tenant }: Away) => ({
  requestId,
  ...(tenant === null ? {} : { tenant }),
})

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
      decide(state, 'queue', `node refused it: ${event.error.message}`, aboutPlacement(placement))
    }
  } else settlePlacement(state, placement)
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
  removePlacement(node, placement)
  sendAway(state, placement)
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
  removePlacement(node, placement)
  if (event.reason === 'evicted') evicted(state, placement, event.byPressure)
  else {
    release(state, placement)
    settlePlacement(state, placement)
    const move = state.moves.get(event.requestId)
    if (move?.attempt === event.attempt) dropMove(state, event.requestId)
  }
  noteEnd(state)
  admitWaiting(state)
}

/** Of a planned move, the decision was made when it was ordered. */
const evicted = (state: State, placement: Placement, byPressure: boolean): void => {
  sendAway(state, placement)
  if (placement.evictMs !== null && !byPressure) return
  const reason = byPressure
    ? 'no KV page was left and it was the newest request of its node'
    : 'its node let go of it'
  decide(state, 'evict', reason, aboutPlacement(placement))
}

/** Requests whose deadline has passed in the queue; those on nodes are their gateway's to cancel. */
export const rejectOverdue = (state: State): void => {
  for (const waiting of state.queue.values()) {
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
  decide(state, 'refuse', error.message, { requestId, tenant })
}

const decideQueued = (state: State, { task }: Waiting): void => {
  const { requestId, tenant } = task
  if (isSettling(state)) {
    decide(state, 'queue', 'the nodes have yet to say what they run', { requestId, tenant })
    return
  }
  const reason =
    state.queue.first()?.task === task
      ? whyNoRoom(toDemand(task), servingNodes(state), state.pace)
      : `${state.queue.size - 1} other requests wait`
  decide(state, 'queue', reason, { requestId, tenant })
}

/** null: there is room in the queue, and in the tenant's part of it. */
const overloaded = (state: State, tenant: string): WireError | null => {
  const { queue, options } = state
  const numOwn = queue.sizeOf(tenant)
  const full =
    queue.size >= options.maxQueue
      ? `The pool's queue is full: ${queue.size} requests wait.`
      : `The tenant's part of the pool's queue is full: ${numOwn} of its requests wait.`
  if (queue.size < options.maxQueue && numOwn < options.maxQueuePerTenant) return null
  const retryAfterMs = Math.round(
    Math.min(30_000, Math.max(1_000, queue.size * state.endIntervalMs)),
  )
  return { code: 'overloaded', message: `${full} Try again later.`, retryAfterMs }
}

/** A moving average over about sixteen ends; a pause counts for at most ten seconds. */
const noteEnd = (state: State): void => {
  const intervalMs = Math.min(10_000, Math.max(0, state.nowMs - (state.lastEndMs ?? state.nowMs)))
  if (state.lastEndMs !== null) state.endIntervalMs += (intervalMs - state.endIntervalMs) / 16
  state.lastEndMs = state.nowMs
}
