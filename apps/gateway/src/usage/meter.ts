import type { UsageEvent } from '@punica/schema'

/** What calls have to be paid for. A call that delivers nothing costs nothing, not even its prompt. */
export type Meter = {
  open(call: MeteredCall): Account
  /** Reports what calls under way have delivered since they were reported last, now and then. */
  tick(nowMs: number): void
}

type MeteredCall = Pick<UsageEvent, 'requestId' | 'tenant' | 'adapterDigest' | 'promptTokens'>

/** Of one call, over all its choices. */
type Account = {
  /** The client has been handed so many tokens by now, perhaps 0 of an answer without any. */
  deliver(completionTokens: number): void
  close(): void
}

type Deps = {
  pool: string
  gatewayId: string
  clock: () => number
  record: (event: UsageEvent) => void
}

/** As much of a call as is lost with this process when that is killed. */
const reportIntervalMs = 10_000

type Open = {
  call: MeteredCall
  /** null: nothing yet. */
  completionTokens: number | null
  reported: number | null
  reportedMs: number
  openedMs: number
  /** When the client was handed its first and its newest token. */
  firstMs: number | null
  newestMs: number
}

/**
 * Keeps the account of each call. The gateway does so because it alone knows what a client was sent:
 * a node may have made more than was wanted, or be gone with what it made.
 */
export const createMeter = ({ pool, gatewayId, clock, record }: Deps): Meter => {
  const calls = new Set<Open>()

  const report = (open: Open, nowMs: number, final: boolean): void => {
    const { call, completionTokens } = open
    if (completionTokens === null) return
    const event = { ...call, completionTokens, pool, gatewayId, timeMs: nowMs, final }
    const latency = final ? latencyOf(open) : null
    record(latency === null ? event : { ...event, latency })
    open.reported = completionTokens
    open.reportedMs = nowMs
  }

  return {
    open: (call) => {
      const nowMs = clock()
      const open: Open = {
        call,
        completionTokens: null,
        reported: null,
        reportedMs: nowMs,
        openedMs: nowMs,
        firstMs: null,
        newestMs: nowMs,
      }
      calls.add(open)
      return {
        deliver: (completionTokens) => {
          open.completionTokens = completionTokens
          if (completionTokens === 0) return
          open.newestMs = clock()
          open.firstMs ??= open.newestMs
        },
        close: () => {
          if (calls.delete(open)) report(open, clock(), true)
        },
      }
    },
    tick: (nowMs) => {
      for (const open of calls) {
        const isDue = nowMs - open.reportedMs >= reportIntervalMs
        if (isDue && open.completionTokens !== open.reported) report(open, nowMs, false)
      }
    },
  }
}

/** A clock that was set back must not make an event that nobody takes. */
const latencyOf = ({ openedMs, firstMs, newestMs }: Open): UsageEvent['latency'] | null =>
  firstMs === null
    ? null
    : {
        firstTokenMs: Math.max(0, firstMs - openedMs),
        generationMs: Math.max(0, newestMs - firstMs),
      }
