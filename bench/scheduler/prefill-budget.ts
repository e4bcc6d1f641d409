/** Budgets are multiples of this many rows. */
const quantum = 32
/** Whatever it costs, prompts go on by so many rows a step. */
const minRows = 64
/** Weight of a new measurement. */
const weight = 1 / 4
/** What is thought too slow to be tried becomes quicker in thought, so that it is tried again. */
const forgetting = 0.995

type Step = { numDecodeRows: number; numPrefillRows: number; ms: number }

/**
 * How many rows of prompts may run beside decode rows, so that a step takes no longer than its
 * target: packages/native-sgmv/src/engine/prefill_budget.h, line for line.
 */
export const createPrefillBudget = (targetStepMs: number | null, maxRows: number) => {
  /** What prompts of so many quanta have added to a step; negative: never measured. */
  const extraMs = new Array<number>(Math.ceil(maxRows / quantum) + 1).fill(-1)
  extraMs[0] = 0
  let decodeMs = 0

  /** Linear between what was measured, and beyond it by what a row has cost. */
  const predict = (index: number): number => {
    let low = index
    while ((extraMs[low] ?? 0) < 0) low--
    let high = index
    while (high < extraMs.length && (extraMs[high] ?? 0) < 0) high++
    const lowMs = extraMs[low] ?? 0
    if (low === index) return lowMs
    if (high === extraMs.length) return low === 0 ? 0 : (lowMs * index) / low
    return lowMs + (((extraMs[high] ?? 0) - lowMs) * (index - low)) / (high - low)
  }

  return {
    rows: (numDecodeRows: number): number => {
      if (targetStepMs === null || numDecodeRows === 0) return maxRows
      let index = Math.floor(minRows / quantum)
      while (index + 1 < extraMs.length && decodeMs + predict(index + 1) <= targetStepMs) index++
      for (let above = index + 1; above < extraMs.length; above++) {
        extraMs[above] = (extraMs[above] ?? 0) * forgetting
      }
      return Math.min(maxRows, index * quantum)
    },
    /** `times`: so many steps that were much the same, one after another. */
    observe: ({ numDecodeRows, numPrefillRows, ms }: Step, times = 1): void => {
      if (targetStepMs === null || numDecodeRows === 0) return
      if (numPrefillRows === 0) {
        if (decodeMs === 0) decodeMs = ms
        decodeMs += (ms - decodeMs) * (1 - (1 - weight) ** times)
      } else {
        // A step is no quicker for what it holds besides.
        decodeMs = Math.min(decodeMs === 0 ? ms : decodeMs, ms)
        const index = Math.min(extraMs.length - 1, Math.ceil(numPrefillRows / quantum))
        const known = extraMs[index] ?? -1
        const extra = ms - decodeMs
        extraMs[index] = known < 0 ? extra : known + (extra - known) * weight
      }
    },
  }
}
