type Options = {
  /** Keys that have a label of their own; the rest are `_other`. */
  max: number
  /** Time over which keys are compared. */
  windowMs: number
  clock: () => number
  /** Its series are to be removed: from now on it is counted as `_other`. */
  onDropped: (key: string) => void
}

/** The label of a key, so that the number of series is bounded whatever keys there are. */
export type TopLabels = (key: string) => string

/** Of all other keys; no name of ours has an underscore in front. */
export const otherLabel = '_other'

/** Keys without a label that are watched for their traffic. */
const maxWatched = 1_000
/** A newcomer must have so much more traffic than the least of those with a label. */
const margin = 2

/**
 * Gives the busiest keys labels of their own. A key keeps its label while it is among them, and its
 * series then ends for good or begins anew at zero, so that no counter ever falls: at the end of
 * each window the busiest key without a label takes the place of the least busy one with one, if it
 * has clearly more traffic.
 */
export const createTopLabels = ({ max, windowMs, clock, onDropped }: Options): TopLabels => {
  const labelled = new Map<string, number>()
  const others = new Map<string, number>()
  let windowEndMs = clock() + windowMs

  const startWindow = (nowMs: number): void => {
    windowEndMs = nowMs + windowMs
    const newcomers = [...others].sort(([, a], [, b]) => b - a)
    const least = [...labelled].sort(([, a], [, b]) => a - b)
    for (const [i, [newcomer, count]] of newcomers.entries()) {
      const [key, bound] = least[i] ?? []
      if (key === undefined || bound === undefined || count <= margin * bound) break
      labelled.delete(key)
      labelled.set(newcomer, 0)
      onDropped(key)
    }
    for (const key of labelled.keys()) labelled.set(key, 0)
    others.clear()
  }

  return (key) => {
    const nowMs = clock()
    if (nowMs >= windowEndMs) startWindow(nowMs)
    const count = labelled.get(key)
    if (count !== undefined || labelled.size < max) {
      labelled.set(key, (count ?? 0) + 1)
      return key
    }
    const seen = others.get(key)
    if (seen !== undefined || others.size < maxWatched) others.set(key, (seen ?? 0) + 1)
    return otherLabel
  }
}
