type Entry = { readonly timeMs: number; readonly order: number; readonly run: () => void }

export type EventQueue = {
  /** Simulated time: that of the event being run. */
  readonly nowMs: number
  readonly numRun: number
  /** Runs `run` at `timeMs`, after everything that was put in for the same time before. */
  at(timeMs: number, run: () => void): void
  /** Runs events in order of time until there are none, or until `stop`. */
  run(): void
  stop(): void
}

const isBefore = (a: Entry, b: Entry): boolean =>
  a.timeMs < b.timeMs || (a.timeMs === b.timeMs && a.order < b.order)

/** The clock of the simulation: a binary heap. Equal times keep their order, so a run repeats. */
export const createEventQueue = (): EventQueue => {
  const heap: Entry[] = []
  let nowMs = 0
  let order = 0
  let numRun = 0
  let isStopped = false

  const push = (entry: Entry): void => {
    let index = heap.length
    while (index > 0) {
      const parentIndex = (index - 1) >> 1
      const parent = heap[parentIndex]
      if (parent === undefined || !isBefore(entry, parent)) break
      heap[index] = parent
      index = parentIndex
    }
    heap[index] = entry
  }

  const pop = (): Entry | undefined => {
    const first = heap[0]
    const last = heap.pop()
    if (last !== undefined && heap.length > 0) sink(last)
    return first
  }

  /** Puts `entry` in at the top and lets it down to where it belongs. */
  const sink = (entry: Entry): void => {
    let index = 0
    for (;;) {
      let childIndex = 2 * index + 1
      let child = heap[childIndex]
      if (child === undefined) break
      const right = heap[childIndex + 1]
      if (right !== undefined && isBefore(right, child)) {
        child = right
        childIndex++
      }
      if (!isBefore(child, entry)) break
      heap[index] = child
      index = childIndex
    }
    heap[index] = entry
  }

  return {
    get nowMs() {
      return nowMs
    },
    get numRun() {
      return numRun
    },
    at: (timeMs, run) => push({ timeMs: Math.max(timeMs, nowMs), order: order++, run }),
    run: () => {
      for (let entry = pop(); entry !== undefined; entry = pop()) {
        nowMs = entry.timeMs
        numRun++
        entry.run()
        if (isStopped) return
      }
    },
    stop: () => {
      isStopped = true
    },
  }
}
