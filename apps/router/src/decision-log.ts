import { createWriteStream } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import path from 'node:path'
import { finished } from 'node:stream/promises'
import {
  type Command,
  type SchedulerEvent,
  type SchedulerOptions,
  toLogHead,
  toLogLine,
} from '@punica/scheduler'
import type { Logger } from '@punica/service'

/** Lines that the disk has not taken yet. */
const maxPendingBytes = 64 * 1024 ** 2

export type DecisionLog = {
  record(event: SchedulerEvent, commands: readonly Command[]): void
  close(): Promise<void>
}

type Options = {
  folder: string
  name: string
  maxBytes: number
  scheduler: SchedulerOptions
  log: Pick<Logger, 'info' | 'warn'>
}

/**
 * Writes a scheduler's events and commands to a file that `npm run -w bench replay` reads. It ends,
 * with a warning, where the file has reached its bound or the disk does not keep up; routing goes on.
 */
export const openDecisionLog = async (options: Options): Promise<DecisionLog> => {
  const { folder, name, maxBytes, scheduler, log } = options
  await mkdir(folder, { recursive: true })
  const file = path.join(folder, `${name}.jsonl`)
  const stream = createWriteStream(file)
  let numBytes = 0
  let isOpen = true

  const stop = (reason: string): void => {
    if (!isOpen) return
    isOpen = false
    log.warn({ file, numBytes, reason }, 'recording of decisions ended')
    stream.end()
  }

  const write = (line: string): void => {
    const length = Buffer.byteLength(line)
    if (numBytes + length > maxBytes) stop(`the file has reached ${maxBytes} bytes`)
    else if (stream.writableLength > maxPendingBytes) stop('the disk does not keep up')
    if (!isOpen) return
    numBytes += length
    stream.write(line)
  }

  stream.on('error', (err) => stop(`it cannot be written: ${err.message}`))
  write(toLogHead(scheduler))
  log.info({ file, maxBytes }, 'recording of decisions begun')
  return {
    record: (event, commands) => {
      if (isOpen) write(toLogLine(event, commands))
    },
    close: async () => {
      isOpen = false
      stream.end()
      // What could not be written has been told.
      await finished(stream).catch(() => {})
    },
  }
}
