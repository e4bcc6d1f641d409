/** Knows of sequences that nobody waits for any more, although a node may still work on them. */
export type Unwanted = {
  /** It has ended here; what is under way of it is to be expected for a while. */
  note(requestId: string, nowMs: number): void
  /** Tokens came of something that does not run here: whether to (again) have it stopped. */
  shouldCancel(requestId: string, nowMs: number): boolean
}

/** How long a cancel may take before it is taken as lost. */
const cancelTakesMs = 2_000
const maxRemembered = 4_096

export const createUnwanted = (): Unwanted => {
  const notedMs = new Map<string, number>()
  const note = (requestId: string, nowMs: number): void => {
    notedMs.delete(requestId)
    notedMs.set(requestId, nowMs)
    const oldest = notedMs.size > maxRemembered ? notedMs.keys().next().value : undefined
    if (oldest !== undefined) notedMs.delete(oldest)
  }
  return {
    note,
    shouldCancel: (requestId, nowMs) => {
      if (nowMs - (notedMs.get(requestId) ?? Number.NEGATIVE_INFINITY) < cancelTakesMs) return false
      note(requestId, nowMs)
      return true
    },
  }
}
