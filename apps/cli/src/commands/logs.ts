import { open, readdir, stat } from 'node:fs/promises'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Command } from 'commander'
import { toOneOf, toWhole } from '../arguments.ts'
import { example, withJson } from '../connection.ts'
import {
  formatLine,
  isAtLeast,
  type Level,
  type LogLine,
  levels,
  parseLine,
} from '../logs/log-line.ts'
import { type Io, type OutputOptions, perform } from '../terminal/io.ts'
import { toLine } from '../terminal/text.ts'
import { UsageError } from '../usage-error.ts'

type LogsOptions = OutputOptions & { data: string; follow?: boolean; level: Level; lines: number }

/** `punica logs`: what the services of a `punica up` say. */
export const addLogsCommand = (program: Command): void => {
  withJson(program.command('logs [service...]'))
    .description(
      'logs of the services that `punica up` runs, in order of time; with --json a line each',
    )
    .option('--data <folder>', 'of the `punica up`', '.punica')
    .option('-f, --follow', 'go on with what comes')
    .option(
      '--level <level>',
      'at least: trace, debug, info, warn, error or fatal',
      toOneOf(...levels),
      'trace',
    )
    .option('-n, --lines <count>', 'the newest so many', toWhole(0, 100_000), 100)
    .addHelpText('after', example('punica logs gateway router-1 --level warn --follow'))
    .action(logs)
}

/** A log file is rotated at 8 MiB; of more than this the beginning is not read. */
const maxReadBytes = 16 * 1024 ** 2
const pollMs = 250

const logs = (services: readonly string[], options: LogsOptions): Promise<void> =>
  perform(options, async (io) => {
    const folder = path.join(options.data, 'logs')
    const files = (await readFiles(folder, services)).map(({ service, file }) =>
      createTail(service, file),
    )
    const width = Math.max(...files.map(({ service }) => service.length))
    const show = (lines: readonly LogLine[]): void => {
      for (const line of lines) print(line, width, io)
    }
    const readAll = async (): Promise<LogLine[]> => {
      const lines = (await Promise.all(files.map((file) => file.read()))).flat()
      return lines
        .filter((line) => isAtLeast(line, options.level))
        .sort((a, b) => a.timeMs - b.timeMs)
    }
    const before = await readAll()
    show(before.slice(Math.max(0, before.length - options.lines)))
    while (options.follow === true && !io.signal.aborted) {
      await sleep(pollMs, undefined, { signal: io.signal })
      show(await readAll())
    }
  })

const print = (line: LogLine, width: number, io: Io): void => {
  const { service, timeMs, level, message } = line
  if (io.isJson) {
    const time = timeMs === 0 ? null : new Date(timeMs).toISOString()
    io.line(JSON.stringify({ time, level, service, message }))
    return
  }
  const text = toLine(formatLine(line, width))
  if (isAtLeast(line, 'error')) io.line(io.paint('red', text))
  else io.line(level === 'warn' ? io.paint('yellow', text) : text)
}

const readFiles = async (
  folder: string,
  services: readonly string[],
): Promise<{ service: string; file: string }[]> => {
  const names = await readdir(folder).catch(() => {
    throw new UsageError(
      `There are no logs in ${folder}; the folder of a \`punica up\` is named by --data`,
    )
  })
  const known = names.filter((name) => name.endsWith('.log')).map((name) => name.slice(0, -4))
  const unknown = services.find((service) => !known.includes(service))
  if (unknown !== undefined) {
    throw new UsageError(`There is no service ${unknown}; there are ${known.toSorted().join(', ')}`)
  }
  const wanted = services.length === 0 ? known : services
  return wanted.map((service) => ({ service, file: path.join(folder, `${service}.log`) }))
}

/** Reads what has been added to a file since the last time, also where it has been rotated. */
const createTail = (service: string, file: string) => {
  let offset = 0
  let inode = 0
  let rest = ''
  let lastMs = 0
  return {
    service,
    read: async (): Promise<LogLine[]> => {
      const found = await stat(file).catch(() => null)
      if (found === null) return []
      if (found.ino !== inode || found.size < offset) {
        offset = Math.max(0, found.size - maxReadBytes)
        inode = found.ino
        rest = ''
      }
      const text = await readFrom(file, offset, found.size)
      offset = found.size
      const raw = (rest + text).split('\n')
      rest = raw.pop() ?? ''
      return raw
        .filter((line) => line !== '')
        .map((line) => {
          const parsed = parseLine(service, line, lastMs)
          lastMs = parsed.timeMs
          return parsed
        })
    },
  }
}

const readFrom = async (file: string, from: number, to: number): Promise<string> => {
  if (to <= from) return ''
  const handle = await open(file)
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(to - from), 0, to - from, from)
    return buffer.toString('utf8', 0, bytesRead)
  } finally {
    await handle.close()
  }
}
