import type { NodeStatus, Task, TenantRecord } from '@punica/schema'
import { expect } from 'vitest'
import type { Command, SchedulerEvent } from '../events.ts'
import type { SchedulerOptions } from '../options.ts'
import type { Scheduler, SchedulerSnapshot } from '../scheduler.ts'

type AttemptId = { requestId: string; attempt: number }
const key = ({ requestId, attempt }: AttemptId): string => `${requestId} ${attempt}`

type Seen = {
  tasks: Map<string, Task>
  statuses: Map<string, NodeStatus>
  records: Map<string, TenantRecord>
  cordoned: Set<string>
  /** When each request was last moved or told to move. */
  movedMs: Map<string, number>
}

/** What must hold after every event, worked out again from what passed in and out. */
export const createInvariants = (scheduler: Scheduler, options: SchedulerOptions) => {
  const seen: Seen = {
    tasks: new Map(),
    statuses: new Map(),
    records: new Map(),
    cordoned: new Set(),
    movedMs: new Map(),
  }
  return {
    checkDistinct,
    check: (event: SchedulerEvent, commands: readonly Command[]): void => {
      const snapshot = scheduler.snapshot()
      note(seen, event)
      for (const command of commands) {
        checkMove(seen, command, { nowMs: event.nowMs, minMs: options.minMoveIntervalMs ?? 0 })
      }
      checkPlaces(snapshot)
      checkLimits(seen, commands, snapshot)
      checkOrder(seen, commands, snapshot)
      checkQuotas(seen, { event, commands }, snapshot)
    },
  }
}

const note = ({ tasks, statuses, records, cordoned }: Seen, event: SchedulerEvent): void => {
  if (event.type === 'submitted') tasks.set(key(event.task), event.task)
  if (event.type === 'nodeReported') statuses.set(event.status.nodeId, event.status)
  if (event.type === 'nodeCordoned' || event.type === 'nodeDrained') cordoned.add(event.nodeId)
  if (event.type === 'nodeUncordoned') cordoned.delete(event.nodeId)
  if (event.type === 'tenantChanged') {
    if (event.record === null) records.delete(event.tenant)
    else records.set(event.tenant, event.record)
  }
}

/** No request is told to move within the bound of its last move. */
const checkMove = (
  { movedMs }: Seen,
  command: Command,
  { nowMs, minMs }: { nowMs: number; minMs: number },
): void => {
  if (command.type === 'evict') {
    const sinceMs = nowMs - (movedMs.get(command.requestId) ?? -Infinity)
    expect(sinceMs).toBeGreaterThanOrEqual(minMs)
    movedMs.set(command.requestId, nowMs)
  }
  if (command.type === 'assign' && command.task.attempt > 0) {
    movedMs.set(command.task.requestId, nowMs)
  }
}

const checkPlaces = ({ queue, nodes }: SchedulerSnapshot): void => {
  // An attempt is in one place, and only one attempt of a request is wanted.
  const placed = nodes.flatMap(({ requests }) => requests)
  checkDistinct([...queue, ...placed].map(key))
  const wanted = [...queue, ...placed.filter(({ unwanted }) => !unwanted)]
  checkDistinct(wanted.map(({ requestId }) => requestId))
  // Room is kept in one place.
  checkDistinct(nodes.flatMap(({ reserved }) => reserved))
}

/** A node that was given something is within its limits, by the ledger and as counted here again. */
const checkLimits = (
  { tasks, statuses, cordoned }: Seen,
  commands: readonly Command[],
  { nodes }: SchedulerSnapshot,
): void => {
  for (const node of nodes) {
    const gets = (command: Command): boolean =>
      command.type === 'assign' && command.nodeId === node.nodeId
    if (!commands.some(gets)) continue
    expect(node.state).toBe('ready')
    expect(cordoned.has(node.nodeId)).toBe(false)
    expect(node.requests.length + node.reserved.length).toBeLessThanOrEqual(node.maxBatchSize)
    expect(node.freePages).toBeGreaterThanOrEqual(0)
    const status = statuses.get(node.nodeId)
    const named = new Set(status?.requests.map(key))
    const pages = node.requests
      .filter((request) => !named.has(key(request)))
      .map((request) => Math.ceil(((tasks.get(key(request))?.tokens.length ?? 0) + 1) / 16))
    const sum = pages.reduce((total, count) => total + count, 0)
    expect(sum).toBeLessThanOrEqual(status?.freePages ?? 0)
  }
}

/**
 * Nothing that waits came before something of its tenant that was given room now: those that have
 * begun before those that have not, then by arrival. Whoever lands on room that was kept for it has
 * not waited.
 */
const checkOrder = (
  { tasks }: Seen,
  commands: readonly Command[],
  { queue }: SchedulerSnapshot,
): void => {
  const waiting = queue.flatMap((id) => tasks.get(key(id)) ?? [])
  for (const command of commands) {
    if (command.type !== 'assign' || lands(commands, command.task)) continue
    const { tenant, attempt, arrivalMs } = command.task
    for (const other of waiting) {
      if (other.tenant !== tenant) continue
      if (attempt > 0 && other.attempt === 0) continue
      expect(attempt === 0 && other.attempt > 0).toBe(false)
      expect(arrivalMs).toBeLessThanOrEqual(other.arrivalMs)
    }
  }
}

const lands = (commands: readonly Command[], { requestId }: Task): boolean =>
  commands.some(
    (command) =>
      command.type === 'decide' &&
      command.decision.requestId === requestId &&
      command.decision.reason === 'room was kept for it',
  )

/** A new request that was taken leaves its tenant and the queue within their limits. */
const checkQuotas = (
  { tasks, records }: Seen,
  { event, commands }: { event: SchedulerEvent; commands: readonly Command[] },
  { queue, nodes }: SchedulerSnapshot,
): void => {
  if (event.type !== 'submitted' || event.task.attempt > 0) return
  if (commands.some(({ type }) => type === 'reject' || type === 'cancel')) return
  const { tenant } = event.task
  const wanted = nodes.flatMap(({ requests }) => requests.filter(({ unwanted }) => !unwanted))
  const own = [...queue, ...wanted].filter((id) => tasks.get(key(id))?.tenant === tenant)
  const max = records.get(tenant)?.maxConcurrentRequests ?? Infinity
  expect(own.length).toBeLessThanOrEqual(max)
}

const checkDistinct = (items: readonly string[]): void => {
  expect(new Set(items).size).toBe(items.length)
}
