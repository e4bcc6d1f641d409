/** A small seeded generator (mulberry32), so that a failing run can be repeated from its seed. */
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
  /** An integer in [0, bound). */
  const below = (bound: number): number => Math.floor(next() * bound)
  return {
    below,
    chance: (probability: number): boolean => next() < probability,
    pick: <T>(items: readonly T[]): T | undefined => items[below(items.length)],
  }
}

export type Random = ReturnType<typeof createRandom>
