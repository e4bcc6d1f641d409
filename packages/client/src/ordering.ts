import type { ApiEvent } from '@punica/schema'

export type Ordering = {
  /** Takes an event as it came; returns those whose turn it is now. */
  accept(event: ApiEvent): ApiEvent[]
  /** Events that wait for an earlier one. */
  numHeld(): number
}

/** Puts the events of one call in the order of `seq`; what was there before is dropped. */
export const createOrdering = (): Ordering => {
  const held = new Map<number, ApiEvent>()
  let nextSeq = 0
  return {
    accept(event) {
      if (event.seq < nextSeq) return []
      held.set(event.seq, event)
      const ready: ApiEvent[] = []
      for (let next = held.get(nextSeq); next !== undefined; next = held.get(nextSeq)) {
        held.delete(nextSeq++)
        ready.push(next)
      }
      return ready
    },
    numHeld: () => held.size,
  }
}
