import { appendFileSync, existsSync, renameSync, statSync } from 'node:fs'

/** A file keeps this much, and its predecessor (`.1`) as much again. */
const maxBytes = 8 * 1024 ** 2
const tailBytes = 4096

export type LogFile = {
  path: string
  write(text: string): void
  /** The newest lines, for a message about what went wrong. */
  tail(): string
}

/** A log file that cannot fill a disk. */
export const openLogFile = (path: string): LogFile => {
  let size = existsSync(path) ? statSync(path).size : 0
  let tail = ''
  return {
    path,
    write: (text) => {
      if (size > maxBytes) {
        renameSync(path, `${path}.1`)
        size = 0
      }
      appendFileSync(path, text, { mode: 0o600 })
      size += Buffer.byteLength(text)
      tail = (tail + text).slice(-tailBytes)
    },
    tail: () => tail.trimEnd().split('\n').slice(-12).join('\n'),
  }
}
