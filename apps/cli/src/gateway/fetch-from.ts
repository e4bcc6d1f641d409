import { AppError } from '@punica/schema'

/** fetch, with an AppError `unavailable` that says which server did not answer, and what to do. */
export const fetchFrom = (
  url: string,
  init: RequestInit,
  { what, option }: { what: string; option: string },
): Promise<Response> =>
  fetch(url, init).catch((cause: unknown) => {
    if (init.signal?.aborted === true) throw cause
    const { origin } = new URL(url)
    const message = `The ${what} at ${origin} does not answer (${reasonOf(cause)}). Does it run? Another one is named with ${option}`
    throw new AppError('unavailable', message, { cause })
  })

const reasonOf = (cause: unknown): string => {
  if (!(cause instanceof Error)) return String(cause)
  return cause.cause === undefined ? cause.message : reasonOf(cause.cause) || cause.message
}
