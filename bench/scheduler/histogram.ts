/** Neighbouring buckets differ by two per mille. */
const growth = Math.log(1.002)
/** The first bucket holds everything up to this. */
const minValue = 0.01

export type Histogram = {
  readonly count: number
  add(value: number, times?: number): void
  /** The upper edge of the bucket that holds the quantile; 0 when there are no values. */
  quantile(q: number): number
  /** By bucket: what `createHistogram` goes on from. */
  counts(): number[]
}

/** Counts positive values in buckets of equal ratio, so that a million values take no memory. */
export const createHistogram = (initial: readonly number[] = []): Histogram => {
  const counts = Array.from(initial, (count) => count ?? 0)
  let count = counts.reduce((sum, number) => sum + number, 0)
  return {
    get count() {
      return count
    },
    add: (value, times = 1) => {
      const bucket = value <= minValue ? 0 : Math.ceil(Math.log(value / minValue) / growth)
      while (counts.length <= bucket) counts.push(0)
      counts[bucket] = (counts[bucket] ?? 0) + times
      count += times
    },
    quantile: (q) => {
      let left = q * count
      for (const [bucket, times] of counts.entries()) {
        left -= times
        if (times > 0 && left <= 0) return minValue * Math.exp(bucket * growth)
      }
      return 0
    },
    counts: () => [...counts],
  }
}
