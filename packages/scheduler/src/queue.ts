import type { Task } from '@punica/schema'
import { type Charge, mostTokens } from './tenants.ts'
import { createTurns } from './turns.ts'

/** A request that waits for room. */
export type Waiting = {
  readonly type: 'waiting'
  readonly task: Task
  /** Nodes that took it and then said no; bounded, so that it cannot go round for ever. */
  readonly numRefusals: number
  /** null: it was paid for under another scheduler. */
  readonly charge: Charge | null
}

/**
 * Fair among tenants by turns.ts, first come, first served inside each: those that have begun before
 * those that have not, then by arrival at the gateway, then by arrival here. With one tenant it is a
 * plain queue.
 */
export type WaitQueue = {
  readonly size: number
  /** Whose turn it is. */
  first(): Waiting | undefined
  add(waiting: Waiting): void
  /** Takes it out because it is given room: its tenant pays for it, once. */
  take(waiting: Waiting): void
  /** Takes it out for another reason. */
  remove(waiting: Waiting): void
  /** A tenant paid for tokens that were never made. */
  refund(tenant: string, numTokens: number): void
  sizeOf(tenant: string): number
  /** Of each tenant that has any. */
  sizes(): Map<string, number>
  /** In no order. */
  values(): Waiting[]
  /** In the order in which they would be served if nothing else came. */
  list(): Waiting[]
}

/** An adapter has to be brought to the device as a prompt has to be read: at so many bytes a token. */
const adapterBytesPerToken = 2 ** 20

const costOf = ({ task, charge }: Waiting): number =>
  charge === null || charge.isTaken
    ? 0
    : mostTokens(task) + Math.ceil((task.adapter?.sizeBytes ?? 0) / adapterBytesPerToken)

export const createWaitQueue = (weightOf: (tenant: string) => number): WaitQueue => {
  /** The waiting of each tenant, in order; never empty. */
  const lines = new Map<string, Waiting[]>()
  const turns = createTurns(weightOf)
  let size = 0
  /** The answer of `first` until something changes. */
  let cached: Waiting | undefined

  const remove = (waiting: Waiting): void => {
    const { tenant } = waiting.task
    const line = lines.get(tenant)
    const index = line?.indexOf(waiting) ?? -1
    if (line === undefined || index < 0) return
    line.splice(index, 1)
    size--
    cached = undefined
    if (line.length > 0) return
    lines.delete(tenant)
    turns.leave(tenant)
  }

  const next = (): Waiting | undefined => {
    let best: Waiting | undefined
    for (const [head] of lines.values()) {
      if (head !== undefined && (best === undefined || isBefore(head, best))) best = head
    }
    return best
  }

  const isBefore = (a: Waiting, b: Waiting): boolean => {
    const ahead = turns.dueOf(a.task.tenant) - turns.dueOf(b.task.tenant)
    if (ahead !== 0) return ahead < 0
    const earlier = a.task.arrivalMs - b.task.arrivalMs
    return earlier < 0 || (earlier === 0 && a.task.tenant < b.task.tenant)
  }

  return {
    get size() {
      return size
    },
    first: () => {
      cached ??= next()
      return cached
    },
    add: (waiting) => {
      const { tenant } = waiting.task
      const line = lines.get(tenant) ?? []
      if (line.length === 0) {
        lines.set(tenant, line)
        turns.join(tenant)
      }
      line.splice(indexAfter(line, waiting), 0, waiting)
      size++
      cached = undefined
    },
    take: (waiting) => {
      const { task, charge } = waiting
      turns.serve(task.tenant, costOf(waiting))
      if (charge !== null) charge.isTaken = true
      remove(waiting)
    },
    remove,
    refund: (tenant, numTokens) => {
      turns.refund(tenant, numTokens)
      cached = undefined
    },
    sizeOf: (tenant) => lines.get(tenant)?.length ?? 0,
    sizes: () => new Map([...lines].map(([tenant, line]) => [tenant, line.length])),
    values: () => [...lines.values()].flat(),
    list: () =>
      [...lines]
        .flatMap(([tenant, line]) => withDue(line, tenant, turns.dueOf(tenant), weightOf(tenant)))
        .sort(byDue)
        .map(({ waiting }) => waiting),
  }
}

/** Where it belongs: behind every one of its line that is not later. */
const indexAfter = (line: readonly Waiting[], waiting: Waiting): number => {
  let low = 0
  let high = line.length
  while (low < high) {
    const middle = (low + high) >>> 1
    const other = line[middle]
    if (other !== undefined && !isLater(other, waiting)) low = middle + 1
    else high = middle
  }
  return low
}

const isLater = ({ task: a }: Waiting, { task: b }: Waiting): boolean => {
  const hasBegun = { a: a.attempt > 0, b: b.attempt > 0 }
  return hasBegun.a === hasBegun.b ? a.arrivalMs > b.arrivalMs : hasBegun.b
}

type Due = { waiting: Waiting; tenant: string; due: number; arrivalMs: number }

/** When each of a line is due; none can be served before the one in front of it. */
const withDue = (line: readonly Waiting[], tenant: string, firstDue: number, weight: number) => {
  let due = firstDue
  let arrivalMs = 0
  return line.map((waiting): Due => {
    arrivalMs = Math.max(arrivalMs, waiting.task.arrivalMs)
    const item = { waiting, tenant, due, arrivalMs }
    const cost = costOf(waiting)
    due += cost / weight
    if (cost > 0) arrivalMs = 0
    return item
  })
}

const byDue = (a: Due, b: Due): number => {
  if (a.due !== b.due) return a.due - b.due
  if (a.arrivalMs !== b.arrivalMs) return a.arrivalMs - b.arrivalMs
  if (a.tenant === b.tenant) return 0
  return a.tenant < b.tenant ? -1 : 1
}
