const numSeconds = 61

/**
 * Tokens charged in the last minute, by second. It counts the second in which the minute began in
 * full, so that no minute, wherever it begins, holds more than what was allowed.
 */
export const createTokenWindow = () => {
  const counts = new Array<number>(numSeconds).fill(0)
  let newest = 0
  let sum = 0

  const slot = (second: number): number => second % numSeconds

  /** Drops what is older than the minute. */
  const advance = (nowMs: number): void => {
    const second = Math.floor(nowMs / 1_000)
    if (second - newest >= numSeconds) {
      counts.fill(0)
      sum = 0
    } else {
      for (let passed = newest + 1; passed <= second; passed++) {
        sum -= counts[slot(passed)] ?? 0
        counts[slot(passed)] = 0
      }
    }
    newest = Math.max(newest, second)
  }

  const add = (second: number, numTokens: number): void => {
    counts[slot(second)] = (counts[slot(second)] ?? 0) + numTokens
    sum += numTokens
  }

  return {
    /** Tokens of the last minute. */
    sum: (nowMs: number): number => {
      advance(nowMs)
      return sum
    },
    charge: (nowMs: number, numTokens: number): void => {
      advance(nowMs)
      add(newest, numTokens)
    },
    /** Takes back part of what was charged at `atMs`, if that is in the window still. */
    refund: (nowMs: number, atMs: number, numTokens: number): void => {
      advance(nowMs)
      const second = Math.floor(atMs / 1_000)
      if (newest - second < numSeconds) add(second, -numTokens)
    },
    /** How long until the sum is `maxTokens` at most, if nothing is added. */
    waitMs: (nowMs: number, maxTokens: number): number => {
      advance(nowMs)
      let left = sum
      for (let second = newest - numSeconds + 1; second <= newest; second++) {
        if (left <= maxTokens) return Math.max(0, (second - 1 + numSeconds) * 1_000 - nowMs)
        left -= counts[slot(second + numSeconds)] ?? 0
      }
      return (newest + numSeconds) * 1_000 - nowMs
    },
  }
}

export type TokenWindow = ReturnType<typeof createTokenWindow>
