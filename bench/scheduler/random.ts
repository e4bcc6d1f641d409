/** A small seeded generator (mulberry32) and the distributions that traces are made of. */
export const createRandom = (seed: number) => {
  let state = seed >>> 0

  /** In [0, 1). */
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0
    let x = state
    x = Math.imul(x ^ (x >>> 15), x | 1)
    x ^= x + Math.imul(x ^ (x >>> 7), x | 61)
    return ((x ^ (x >>> 14)) >>> 0) / 2 ** 32
  }

  /** Box and Muller. */
  const normal = (): number => Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next())

  return {
    next,
    below: (bound: number): number => Math.floor(next() * bound),
    exponential: (mean: number): number => -mean * Math.log(1 - next()),
    /** Of the given mean; `sigma` is the deviation of the logarithm. */
    logNormal: ({ mean, sigma }: { mean: number; sigma: number }): number =>
      mean * Math.exp(sigma * normal() - sigma ** 2 / 2),
  }
}

export type Random = ReturnType<typeof createRandom>

/** A seed of its own for each use, so that one use drawing more does not shift another. */
export const deriveSeed = (seed: number, use: string): number => {
  let hash = seed ^ 0x811c9dc5
  for (const character of use) hash = Math.imul(hash ^ character.charCodeAt(0), 0x01000193)
  return hash >>> 0
}
