import { AppError } from '@punica/schema'

/** Lets a bounded number of jobs run at once; one more is refused rather than kept waiting. */
export type Gate = { run<T>(job: () => Promise<T>): Promise<T> }

/** `what` names the jobs in the error: AppError `overloaded`. */
export const createGate = (limit: number, what: string): Gate => {
  let numRunning = 0
  return {
    run: async (job) => {
      if (numRunning >= limit) {
        throw new AppError('overloaded', `${limit} ${what} run already, the limit; try again`, {
          retryAfterMs: 1_000,
        })
      }
      numRunning += 1
      try {
        return await job()
      } finally {
        numRunning -= 1
      }
    },
  }
}
