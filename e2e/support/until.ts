/**
 * Asks until there is an answer other than null. Every question is a round trip to a process, which
 * is what paces the loop; `what` is for the message when the time is up.
 */
export const until = async <T>(
  what: string,
  ask: () => Promise<T | null>,
  timeoutMs = 30_000,
): Promise<T> => {
  const deadline = Date.now() + timeoutMs
  for (;;) {
    const answer = await ask()
    if (answer !== null) return answer
    if (Date.now() > deadline) throw new Error(`not within ${timeoutMs} ms: ${what}`)
  }
}
