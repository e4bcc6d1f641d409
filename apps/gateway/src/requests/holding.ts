import type { WireError } from '@punica/schema'

export type HoldingLimits = {
  /** How long a new request is held while no scheduler answers. */
  maxHoldMs: number
  /** How many may be held at once. */
  maxHeld: number
}

/**
 * New requests that no scheduler has taken yet. A pool changes its leader within seconds, and a client
 * is better off waiting for that than being sent away; but only so many, and only so long.
 */
export type Holding = {
  /** Nobody took it this time. null: it is held, and offered again; else why it is not. */
  hold(requestId: string, nowMs: number): WireError | null
  /** It has been taken, or has ended. */
  release(requestId: string): void
}

const retryAfterMs = 1_000

export const createHolding = ({ maxHoldMs, maxHeld }: HoldingLimits): Holding => {
  const sinceMs = new Map<string, number>()
  return {
    hold: (requestId, nowMs) => {
      const heldSinceMs = sinceMs.get(requestId)
      if (heldSinceMs === undefined) {
        if (sinceMs.size >= maxHeld) return full(maxHeld)
        sinceMs.set(requestId, nowMs)
        return null
      }
      return nowMs - heldSinceMs < maxHoldMs ? null : tooLong(maxHoldMs)
    },
    release: (requestId) => void sinceMs.delete(requestId),
  }
}

const full = (maxHeld: number): WireError => ({
  code: 'overloaded',
  message: `No scheduler answers at present, and ${maxHeld} requests wait for one, the limit; try again later`,
  retryAfterMs,
})

const tooLong = (maxHoldMs: number): WireError => ({
  code: 'unavailable',
  message: `No scheduler has answered for ${maxHoldMs} ms; try again later`,
  retryAfterMs,
})
