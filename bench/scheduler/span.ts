type Opening = {
  startMs: number
  /** Of each step, without the reading of KV. */
  fixedMs: number
  numRows: number
  /** Of the first step; each step reads one more for every row. */
  numKvTokens: number
  numSteps: number
}

/**
 * A run of decode steps of one batch as one event: their times follow from the first. It can be
 * counted up to any moment and cut short after the step under way.
 */
export const createSpan = (
  msPerKvToken: number,
  onTokenGaps: (gapMs: number, times: number) => void,
) => {
  const span = {
    stepsLeft: 0,
    numRows: 0,
    /** Of the step under way. */
    stepMs: 0,
    growthMs: 0,
    lastEndMs: 0,
    nextEndMs: 0,
  }

  return {
    get isOpen() {
      return span.stepsLeft > 0
    },
    get stepMs() {
      return span.stepMs
    },
    /** End of the last step that has been counted. */
    get lastEndMs() {
      return span.lastEndMs
    },
    get nextEndMs() {
      return span.nextEndMs
    },
    /** Returns when its last step ends. */
    open: ({ startMs, fixedMs, numRows, numKvTokens, numSteps }: Opening): number => {
      span.stepsLeft = numSteps
      span.numRows = numRows
      span.stepMs = fixedMs + numKvTokens * msPerKvToken
      span.growthMs = numRows * msPerKvToken
      span.lastEndMs = startMs
      span.nextEndMs = startMs + span.stepMs
      // The same sums in the same order as in `advance`, so that both end at the same instant.
      let endMs = span.nextEndMs
      let stepMs = span.stepMs
      for (let i = 1; i < numSteps; i++) {
        stepMs += span.growthMs
        endMs += stepMs
      }
      return endMs
    },
    /** Counts the steps that are over by `nowMs` and returns how many more those are. */
    advance: (nowMs: number): number => {
      let numSteps = 0
      while (span.stepsLeft > 0 && span.nextEndMs <= nowMs) {
        onTokenGaps(span.stepMs, span.numRows)
        numSteps++
        span.stepsLeft--
        span.lastEndMs = span.nextEndMs
        span.stepMs += span.growthMs
        span.nextEndMs += span.stepMs
      }
      return numSteps
    },
    /** Ends it with the step under way; false where that is so already. */
    cut: (): boolean => {
      if (span.stepsLeft <= 1) return false
      span.stepsLeft = 1
      return true
    },
  }
}
