/** The command was not called as it has to be; the exit code is 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}
