import type { Bus } from '@punica/bus'
import { channels, type UsageEvent } from '@punica/schema'
import type { Logger } from '@punica/service'

/** Calls whose newest event waits for the stream. */
const maxWaiting = 100_000
/** Events that are under way to the stream at once. */
const maxInFlight = 64
const firstDelayMs = 100
const maxDelayMs = 5_000
/**
 * An event that the stream has not taken in this time is given up. The control plane remembers a
 * call for longer than that, so that none is counted twice.
 */
const maxAgeMs = 30 * 60_000

export type UsageRecorder = {
  /** Takes the place of what waits of the same call: events are cumulative. */
  record(event: UsageEvent): void
  numWaiting(): number
  /** Waits until everything is stored, at most for this long; what is left then is logged. */
  flush(timeoutMs: number): Promise<void>
}

type Deps = {
  bus: Pick<Bus, 'store'>
  log: Pick<Logger, 'error' | 'warn'>
  clock: () => number
  /** Called for each event that is given up. */
  onLost: () => void
}

/**
 * Stores usage events, again and again while the stream does not answer. What it gives up, for its
 * age, because too many wait or because the process ends, is logged whole, so that it can still be
 * billed by hand.
 */
export const createUsageRecorder = ({ bus, log, clock, onLost }: Deps): UsageRecorder => {
  /** By call. */
  const waiting = new Map<string, UsageEvent>()
  let working: Promise<void> | null = null

  const giveUp = (event: UsageEvent, why: string): void => {
    log.error({ event, why }, 'usage lost')
    onLost()
  }

  const moveBehindOthers = (event: UsageEvent): void => {
    const { requestId } = event
    if (waiting.get(requestId) !== event) return
    waiting.delete(requestId)
    waiting.set(requestId, event)
  }

  /** Whether it is done with, be it stored or given up. */
  const tryToStore = async (event: UsageEvent): Promise<boolean> => {
    const { requestId, tenant, completionTokens, final } = event
    const id = `${requestId}:${completionTokens}${final ? ':final' : ''}`
    try {
      await bus.store(channels.usage(tenant), event, { id })
    } catch (err) {
      if (clock() - event.timeMs <= maxAgeMs) {
        log.warn({ err, requestId }, 'usage not stored yet')
        moveBehindOthers(event)
        return false
      }
      giveUp(event, 'the stream did not take it in time')
    }
    // Unless `flush` has given it up, or a newer one has taken its place.
    if (waiting.get(requestId) === event) waiting.delete(requestId)
    return true
  }

  const work = async (): Promise<void> => {
    let delayMs = firstDelayMs
    while (waiting.size > 0) {
      const events = [...waiting.values()].slice(0, maxInFlight)
      const done = await Promise.all(events.map(tryToStore))
      if (done.every(Boolean)) delayMs = firstDelayMs
      else {
        await delay(delayMs)
        delayMs = Math.min(2 * delayMs, maxDelayMs)
      }
    }
    working = null
  }

  return {
    record: (event) => {
      if (waiting.size >= maxWaiting && !waiting.has(event.requestId)) {
        giveUp(event, 'too many wait for the stream')
        return
      }
      waiting.set(event.requestId, event)
      working ??= work()
    },
    numWaiting: () => waiting.size,
    flush: async (timeoutMs) => {
      if (working !== null) await Promise.race([working, delay(timeoutMs)])
      for (const event of waiting.values()) giveUp(event, 'the gateway stops')
      waiting.clear()
    },
  }
}

const delay = (ms: number): Promise<void> =>
  new Promise((resolve) => {
    setTimeout(resolve, ms).unref()
  })
