import { AppError, errors } from '@punica/schema'
import { UsageError } from '../usage-error.ts'
import { toLine } from './text.ts'

export type Failure = { exitCode: number; text: string }

/** What the command says of itself when it was interrupted, and its exit code by convention. */
export const interruptedExitCode = { SIGINT: 130, SIGTERM: 143 } as const

/** How a failure is said on stderr, in words or as one JSON document, and the exit code it gives. */
export const toFailure = (cause: unknown, isJson: boolean): Failure => {
  const exitCode = cause instanceof UsageError ? 2 : 1
  const message = cause instanceof Error ? cause.message : String(cause)
  const code = codeOf(cause)
  if (isJson) {
    const param = cause instanceof AppError ? cause.param : undefined
    const error = { code, message, ...(param === undefined ? {} : { param }) }
    return { exitCode, text: `${JSON.stringify({ error })}\n` }
  }
  const lines = message.split('\n').map(toLine).join('\n')
  const said = code === 'usage' ? lines : `${lines} (${code})`
  return { exitCode, text: `punica: ${said}\n${hintOf(cause)}` }
}

const codeOf = (cause: unknown): string => {
  if (cause instanceof AppError) return cause.code
  return cause instanceof UsageError ? 'usage' : 'internal'
}

const hintOf = (cause: unknown): string => {
  if (!(cause instanceof AppError) || !errors[cause.code].retryable) return ''
  const { retryAfterMs } = cause
  if (retryAfterMs !== undefined) return `Try again in ${Math.ceil(retryAfterMs / 1000)} s.\n`
  return cause.code === 'internal' || cause.code === 'cancelled' ? '' : 'It may succeed later.\n'
}
