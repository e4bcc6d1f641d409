// Latencies travel between processes as counts in buckets, which add up over gateways and over time
// as quantiles do not. Four buckets to a doubling tell a time to about nine per cent.

const smallestMs = 0.1
const perDoubling = 4
/** The last one is of everything beyond half an hour. */
export const numLatencyBuckets = 100

/** The bucket that a time falls in. */
export const latencyBucket = (ms: number): number => {
  const bucket = Math.floor(perDoubling * Math.log2(Math.max(ms, smallestMs) / smallestMs))
  return Math.min(numLatencyBuckets - 1, bucket)
}

/** The middle of a bucket, in ms. */
const middleOf = (bucket: number): number => smallestMs * 2 ** ((bucket + 0.5) / perDoubling)

/** The time that a share of the counted ones stays below, in ms; null where nothing was counted. */
export const latencyQuantile = (counts: readonly number[], share: number): number | null => {
  const total = counts.reduce((sum, count) => sum + count, 0)
  if (total === 0) return null
  let below = 0
  for (const [bucket, count] of counts.entries()) {
    below += count
    if (below >= share * total) return middleOf(bucket)
  }
  return middleOf(counts.length - 1)
}
