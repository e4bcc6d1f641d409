/** Hands values from one who has them to one who waits for them. */
export type Feed<T> = {
  push(value: T): void
  /** Ends the feed: `next` rejects with the reason at once, whatever is left. */
  fail(reason: unknown): void
  next(): Promise<T>
  numWaiting(): number
}

export const createFeed = <T>(): Feed<T> => {
  const values: T[] = []
  let failure: { reason: unknown } | null = null
  let wake = (): void => {}
  return {
    push(value) {
      values.push(value)
      wake()
    },
    fail(reason) {
      failure ??= { reason }
      wake()
    },
    async next() {
      for (;;) {
        if (failure !== null) throw failure.reason
        const value = values.shift()
        if (value !== undefined) return value
        await new Promise<void>((resolve) => {
          wake = resolve
        })
      }
    },
    numWaiting: () => values.length,
  }
}
