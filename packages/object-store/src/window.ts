/** Lets a bounded number of tasks run at once. */
export type Window = {
  /** Waits for room; throws the first failure of an earlier task. */
  add(task: Promise<unknown>): Promise<void>
  /** Waits for all of them; throws the first failure. */
  drain(): Promise<void>
}

export const createWindow = (size: number): Window => {
  const running = new Set<Promise<void>>()
  const failures: unknown[] = []
  const check = (): void => {
    if (failures.length > 0) throw failures[0]
  }
  return {
    async add(task) {
      // Handled at once: a failure between two calls must not count as one that nobody handles.
      const settled: Promise<void> = task.then(
        () => void running.delete(settled),
        (cause) => {
          failures.push(cause)
          running.delete(settled)
        },
      )
      running.add(settled)
      if (running.size >= size) await Promise.race(running)
      check()
    },
    async drain() {
      await Promise.all(running)
      check()
    },
  }
}
