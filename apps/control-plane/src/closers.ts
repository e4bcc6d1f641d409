/** What has been opened and must be closed again, also when a later step fails. */
export type Closers = {
  add(close: () => unknown): void
  /** Closes everything, the last first; calling it again does nothing. */
  close(): Promise<void>
}

export const createClosers = (): Closers => {
  const steps: (() => unknown)[] = []
  return {
    add: (close) => void steps.push(close),
    close: async () => {
      for (let step = steps.pop(); step !== undefined; step = steps.pop()) await step()
    },
  }
}
