import type { AdapterRef } from '@punica/schema'
import type { Random } from './random.ts'

/** Draws the index of an adapter; lower ones are asked for more often. */
export type Popularity = { readonly numAdapters: number; draw(random: Random): number }

const fromWeights = (weights: readonly number[]): Popularity => {
  const cumulative: number[] = []
  let total = 0
  for (const weight of weights) {
    total += weight
    cumulative.push(total)
  }
  return {
    numAdapters: weights.length,
    draw: (random) => {
      const mark = random.next() * total
      let low = 0
      let high = cumulative.length - 1
      while (low < high) {
        const middle = (low + high) >>> 1
        if ((cumulative[middle] ?? total) > mark) high = middle
        else low = middle + 1
      }
      return low
    },
  }
}

/** Each adapter is asked for `ratio` times as often as the next: what Punica calls skewed. */
export const geometric = (ratio: number, numAdapters: number): Popularity =>
  fromWeights(Array.from({ length: numAdapters }, (_, i) => ratio ** -i))

export const zipf = (exponent: number, numAdapters: number): Popularity =>
  fromWeights(Array.from({ length: numAdapters }, (_, i) => (i + 1) ** -exponent))

/** Adapters of the given ranks in turn. */
export const createAdapters = (
  count: number,
  { ranks, bytesPerRank }: { ranks: readonly number[]; bytesPerRank: number },
): AdapterRef[] =>
  Array.from({ length: count }, (_, i) => {
    const digest = i.toString(16).padStart(64, '0')
    const rank = ranks[i % ranks.length] ?? 16
    const sizeBytes = rank * bytesPerRank
    return {
      digest,
      rank,
      sizeBytes,
      files: [{ name: 'adapter_model.safetensors', digest, sizeBytes }],
    }
  })
