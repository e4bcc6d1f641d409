/** What was published since the batch before; `skipped` older items were left out. */
export type Batch<T> = { items: T[]; skipped: number }

export type Feed<T> = {
  publish(item: T): void
  /** Batches of what `accepts` lets through, from now on. */
  subscribe(accepts?: (item: T) => boolean): AsyncIterableIterator<Batch<T>>
  stop(): void
}

type Subscriber<T> = {
  items: T[]
  skipped: number
  accepts: (item: T) => boolean
  wake(): void
}

/**
 * Hands what is published to any number of subscribers, in batches a quarter of a second apart. A
 * slow one loses the oldest, is told how many, and holds nobody up.
 */
export const createFeed = <T>({ maxItems }: { maxItems: number }): Feed<T> => {
  const subscribers = new Set<Subscriber<T>>()
  const timer = setInterval(() => {
    for (const { items, wake } of subscribers) if (items.length > 0) wake()
  }, 250)

  return {
    publish: (item) => {
      for (const subscriber of subscribers) {
        if (!subscriber.accepts(item)) continue
        subscriber.items.push(item)
        if (subscriber.items.length <= maxItems) continue
        subscriber.items.shift()
        subscriber.skipped += 1
      }
    },
    subscribe: (accepts = () => true) => {
      const subscriber: Subscriber<T> = { items: [], skipped: 0, accepts, wake: () => {} }
      let isOver = false
      subscribers.add(subscriber)
      return {
        next: async () => {
          while (!isOver) {
            await new Promise<void>((resolve) => {
              subscriber.wake = resolve
            })
            if (subscriber.items.length > 0 && !isOver) {
              const { skipped } = subscriber
              subscriber.skipped = 0
              return { done: false, value: { items: subscriber.items.splice(0), skipped } }
            }
          }
          return { done: true, value: undefined }
        },
        return: async () => {
          isOver = true
          subscribers.delete(subscriber)
          subscriber.wake()
          return { done: true, value: undefined }
        },
        [Symbol.asyncIterator]() {
          return this
        },
      }
    },
    stop: () => clearInterval(timer),
  }
}

/** The items of the batches, each as `toValue` makes it. */
export const oneByOne = <T, V>(
  batches: AsyncIterableIterator<Batch<T>>,
  toValue: (item: T) => V,
): AsyncIterableIterator<V> => {
  let rest: T[] = []
  return {
    next: async () => {
      while (rest.length === 0) {
        const { done, value } = await batches.next()
        if (done === true) return { done: true, value: undefined }
        rest = [...value.items]
      }
      const [item, ...others] = rest
      rest = others
      return item === undefined
        ? { done: true, value: undefined }
        : { done: false, value: toValue(item) }
    },
    return: async () => {
      await batches.return?.()
      return { done: true, value: undefined }
    },
    [Symbol.asyncIterator]() {
      return this
    },
  }
}

/** The batches, each as `toValue` makes it. */
export const mapBatches = <T, V>(
  batches: AsyncIterableIterator<Batch<T>>,
  toValue: (batch: Batch<T>) => V,
): AsyncIterableIterator<V> => ({
  next: async () => {
    const { done, value } = await batches.next()
    return done === true ? { done: true, value: undefined } : { done: false, value: toValue(value) }
  },
  return: async () => {
    await batches.return?.()
    return { done: true, value: undefined }
  },
  [Symbol.asyncIterator]() {
    return this
  },
})
