/** Changes within this time share one report. */
const delayMs = 10

/** Calls `report` at a steady interval, and soon after something has changed. */
export const createReporter = (report: () => void, intervalMs: number) => {
  const interval = setInterval(report, intervalMs)
  let soon: NodeJS.Timeout | null = null
  let isStopped = false
  return {
    soon: (): void => {
      if (isStopped) return
      soon ??= setTimeout(() => {
        soon = null
        report()
      }, delayMs)
    },
    stop: (): void => {
      isStopped = true
      clearInterval(interval)
      if (soon !== null) clearTimeout(soon)
    },
  }
}
