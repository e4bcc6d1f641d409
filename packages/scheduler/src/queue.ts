import type { Task } from '@punica/schema'

/** A request that waits for room. */
export type Waiting = {
  readonly type: 'waiting'
  readonly task: Task
  /** Nodes that took it and then said no; bounded, so that it cannot go round for ever. */
  readonly numRefusals: number
}

/** First come, first served: ordered by arrival at the gateway, then by arrival here. */
export type WaitQueue = {
  readonly size: number
  first(): Waiting | undefined
  add(waiting: Waiting): void
  remove(waiting: Waiting): void
  /** A copy, in order. */
  list(): Waiting[]
}

export const createWaitQueue = (): WaitQueue => {
  const queue: Waiting[] = []

  /** Where a request of this arrival time belongs: behind every one that is not later. */
  const indexAfter = (arrivalMs: number): number => {
    let low = 0
    let high = queue.length
    while (low < high) {
      const middle = (low + high) >>> 1
      const other = queue[middle]
      if (other !== undefined && other.task.arrivalMs <= arrivalMs) low = middle + 1
      else high = middle
    }
    return low
  }

  return {
    get size() {
      return queue.length
    },
    first: () => queue[0],
    add: (waiting) => {
      queue.splice(indexAfter(waiting.task.arrivalMs), 0, waiting)
    },
    remove: (waiting) => {
      if (queue[0] === waiting) queue.shift()
      else {
        const index = queue.indexOf(waiting)
        if (index >= 0) queue.splice(index, 1)
      }
    },
    list: () => [...queue],
  }
}
