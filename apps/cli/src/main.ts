#!/usr/bin/env -S npx tsx
import { CommanderError } from 'commander'
import { createProgram } from './program.ts'
import { toFailure } from './terminal/failure.ts'

// Whoever reads the output may have read enough, as `head` does; that is no failure.
process.stdout.on('error', (cause) => {
  if ('code' in cause && cause.code === 'EPIPE') process.exit(process.exitCode ?? 0)
  throw cause
})

createProgram()
  .parseAsync()
  .catch((cause: unknown) => {
    if (cause instanceof CommanderError) {
      // Asked-for help is no error; all else that commander ends with is a wrong call.
      const isAsked = cause.exitCode === 0
      process.exitCode = isAsked ? 0 : 2
      return
    }
    const { text, exitCode } = toFailure(cause, false)
    process.stderr.write(text)
    process.exitCode = exitCode
  })
