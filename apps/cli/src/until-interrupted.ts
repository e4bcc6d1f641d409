/**
 * Resolves at the first Ctrl-C or SIGTERM. A second one ends the process at once; the kernel and the
 * services' own channels then end what it started.
 */
export const untilInterrupted = (): Promise<void> =>
  new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      process.once(signal, () => {
        process.once(signal, () => process.exit(130))
        resolve()
      })
    }
  })
