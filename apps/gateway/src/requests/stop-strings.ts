/** Looks for stop strings in a text that comes in pieces. */
export type StopStrings = {
  /**
   * The text that may be shown now, and whether a stop string has been met. A tail that could yet
   * become a stop string is held back, and of a stop string nothing is ever shown.
   */
  push(text: string): { text: string; met: boolean }
  /** What is held back, once it is known that no more comes. */
  flush(): string
}

/**
 * The stop string that is complete first wins, and of two that end together the longer: the result
 * is the same however the text is cut into pieces.
 */
export const createStopStrings = (stops: readonly string[]): StopStrings => {
  let held = ''
  return {
    push: (text) => {
      if (stops.length === 0) return { text, met: false }
      const seen = held + text
      const start = startOfFirst(seen, stops)
      if (start !== null) {
        held = ''
        return { text: seen.slice(0, start), met: true }
      }
      const safe = startOfPartial(seen, stops)
      held = seen.slice(safe)
      return { text: seen.slice(0, safe), met: false }
    },
    flush: () => {
      const text = held
      held = ''
      return text
    },
  }
}

const startOfFirst = (text: string, stops: readonly string[]): number | null => {
  let best: { start: number; end: number } | null = null
  for (const stop of stops) {
    const start = text.indexOf(stop)
    if (start < 0) continue
    const end = start + stop.length
    if (best === null || end < best.end || (end === best.end && start < best.start)) {
      best = { start, end }
    }
  }
  return best === null ? null : best.start
}

/** Where the longest tail begins that is the beginning of a stop string. */
const startOfPartial = (text: string, stops: readonly string[]): number => {
  let safe = text.length
  for (const stop of stops) {
    const first = stop.charAt(0)
    let start = text.indexOf(first, Math.max(0, text.length - stop.length + 1))
    while (start >= 0 && start < safe) {
      if (stop.startsWith(text.slice(start))) safe = start
      else start = text.indexOf(first, start + 1)
    }
  }
  return safe
}
