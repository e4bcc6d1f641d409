import type { Bus } from '@punica/bus'
import { channels, type Decision } from '@punica/schema'
import type { Refusals } from '@punica/service'
import { createFeed, type Feed } from '../server/feed.ts'

type Deps = { bus: Pick<Bus, 'subscribe'>; refusals: Pick<Refusals, 'refuse'> }

type ScaleHint = { wantedNodes: number; reason: string; at: Date }

export type DecisionWatch = {
  feed: Pick<Feed<Decision>, 'subscribe'>
  /** The newest of a pool. */
  scaleHint(pool: string): ScaleHint | null
  stop(): void
}

/** A subscriber that is slower than the scheduler gets the newest ones. */
const maxWaiting = 100
/** Whoever sends under the names of more pools than that is broken. */
const maxPools = 1_000

/** Follows what the schedulers of all pools decide. */
export const watchDecisions = ({ bus, refusals }: Deps): DecisionWatch => {
  const feed = createFeed<Decision>({ maxItems: maxWaiting })
  const hints = new Map<string, ScaleHint>()
  const unsubscribe = bus.subscribe(channels.decisions('*'), (decision, { subject }) => {
    const { kind, pool, wanted, reason, timeMs } = decision
    if (subject !== channels.decisions(pool).subject) {
      refusals.refuse(subject, 'wrong_pool')
      return
    }
    feed.publish(decision)
    if (kind !== 'scale' || wanted === undefined) return
    if (hints.size >= maxPools && !hints.has(pool)) return
    hints.set(pool, { wantedNodes: wanted, reason, at: new Date(timeMs) })
  })
  return {
    feed,
    scaleHint: (pool) => hints.get(pool) ?? null,
    stop: () => {
      unsubscribe()
      feed.stop()
    },
  }
}
