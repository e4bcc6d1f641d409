/**
 * An endless sequence of the newest value: one at once, then one after each change. A slow reader
 * skips what it missed, so nothing queues. `return()` ends a wait that is under way, which a
 * generator could not do.
 */
export const latest = <T>(
  read: () => T,
  onChange: (listener: () => void) => () => void,
): AsyncIterableIterator<T> => {
  let isNew = true
  let isOver = false
  let wake = (): void => {}
  const stop = onChange(() => {
    isNew = true
    wake()
  })
  return {
    next: async () => {
      while (!isNew && !isOver) {
        await new Promise<void>((resolve) => {
          wake = resolve
        })
      }
      if (isOver) return { done: true, value: undefined }
      isNew = false
      return { done: false, value: read() }
    },
    return: async () => {
      isOver = true
      stop()
      wake()
      return { done: true, value: undefined }
    },
    [Symbol.asyncIterator]() {
      return this
    },
  }
}
