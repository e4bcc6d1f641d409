import { formatTime } from '../terminal/format.ts'

export const levels = ['trace', 'debug', 'info', 'warn', 'error', 'fatal'] as const
export type Level = (typeof levels)[number]

export type LogLine = {
  service: string
  timeMs: number
  level: Level
  message: string
  raw: string
}

/**
 * A line of a service's log. What is no JSON (of nats-server and Postgres) has the level that its
 * words say, and the time of the line before it where it has none of its own.
 */
export const parseLine = (service: string, raw: string, beforeMs: number): LogLine => {
  const entry = parseJson(raw)
  if (entry !== null) {
    const { level, time, msg, name: _, pid: _pid, hostname: _host, ...fields } = entry
    const rest = Object.entries(fields).map(([key, value]) => `${key}=${toText(value)}`)
    return {
      service,
      timeMs: typeof time === 'number' ? time : beforeMs,
      level: levels[Math.min(5, Math.max(0, Math.round(Number(level) / 10) - 1))] ?? 'info',
      message: [String(msg ?? ''), ...rest].join(' ').trim(),
      raw,
    }
  }
  const [, date, clock] = /(\d{4}[-/]\d\d[-/]\d\d) (\d\d:\d\d:\d\d(?:\.\d+)?)/.exec(raw) ?? []
  const timeMs =
    date === undefined ? Number.NaN : Date.parse(`${date.replaceAll('/', '-')}T${clock}Z`)
  const level = levelWords.find(([pattern]) => pattern.test(raw))?.[1] ?? 'info'
  return { service, timeMs: Number.isNaN(timeMs) ? beforeMs : timeMs, level, message: raw, raw }
}

const levelWords: readonly [RegExp, Level][] = [
  [/\[FTL\]|\b(FATAL|PANIC):/, 'fatal'],
  [/\[ERR\]|\bERROR:/, 'error'],
  [/\[WRN\]|\bWARNING:/, 'warn'],
  [/\[DBG\]|\bDEBUG\d?:/, 'debug'],
  [/\[TRC\]/, 'trace'],
]

const parseJson = (raw: string): Record<string, unknown> | null => {
  if (!raw.startsWith('{')) return null
  try {
    return JSON.parse(raw)
  } catch {
    return null
  }
}

const toText = (value: unknown): string =>
  typeof value === 'string' ? value : (JSON.stringify(value) ?? '')

/** At least as grave as `level`. */
export const isAtLeast = (line: Pick<LogLine, 'level'>, level: Level): boolean =>
  levels.indexOf(line.level) >= levels.indexOf(level)

/** time, level, service, message. */
export const formatLine = ({ service, timeMs, level, message }: LogLine, width: number): string => {
  const time = timeMs === 0 ? '–'.padEnd(20) : formatTime(new Date(timeMs).toISOString())
  return `${time}  ${level.padEnd(5)}  ${service.padEnd(width)}  ${message}`
}
