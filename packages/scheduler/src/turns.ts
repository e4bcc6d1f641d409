/**
 * Whose turn it is among tenants that wait (start-time fair queueing: Goyal, Vin and Cheng, 1996).
 * Each tenant is due at a virtual time, which moves on by cost over weight whenever it is served; the
 * one that is due first is next. Whoever comes anew is due now: nobody saves up turns by waiting for
 * nothing, and nobody pays for having used what no one else wanted.
 */
export const createTurns = (weightOf: (tenant: string) => number) => {
  /** Kept for those that are due later than now even while they have nothing waiting. */
  const due = new Map<string, number>()
  const waiting = new Set<string>()
  /** Virtual time: when the one that was served last was due. */
  let now = 0

  const dueOf = (tenant: string): number => Math.max(now, due.get(tenant) ?? 0)

  return {
    /** Not before the virtual time of now. */
    dueOf,
    join: (tenant: string): void => {
      waiting.add(tenant)
      due.set(tenant, dueOf(tenant))
    },
    /** It has nothing left that waits. When nobody has, all debts are off. */
    leave: (tenant: string): void => {
      waiting.delete(tenant)
      if (waiting.size > 0) return
      due.clear()
      now = 0
    },
    /** What costs nothing is no turn, and may be served out of turn. */
    serve: (tenant: string, cost: number): void => {
      if (cost === 0) return
      now = dueOf(tenant)
      due.set(tenant, now + cost / weightOf(tenant))
      if (due.size > 2 * waiting.size + minKept) forgetPaid()
    },
    refund: (tenant: string, cost: number): void => {
      const owed = due.get(tenant)
      if (owed !== undefined) due.set(tenant, Math.max(now, owed - cost / weightOf(tenant)))
    },
  }

  function forgetPaid(): void {
    for (const [tenant, at] of due) if (at <= now && !waiting.has(tenant)) due.delete(tenant)
  }
}

const minKept = 64
