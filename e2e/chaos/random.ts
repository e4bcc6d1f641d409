/** A small seeded generator (mulberry32): the same seed makes the same choices. */
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

  return {
    next,
    below: (bound: number): number => Math.floor(next() * bound),
    /** One of them; undefined where there is none. */
    pick: <T>(items: readonly T[]): T | undefined => items[Math.floor(next() * items.length)],
  }
}

export type Random = ReturnType<typeof createRandom>
