import type { WriteStream } from 'node:tty'
import { styleText } from 'node:util'
import { AppError } from '@punica/schema'
import { environment } from '../environment.ts'
import { interruptedExitCode, toFailure } from './failure.ts'

type Style = 'bold' | 'dim' | 'red' | 'green' | 'yellow' | 'cyan'

/** A command's way to its user. */
export type Io = {
  isJson: boolean
  /** Aborted by Ctrl-C or SIGTERM. */
  signal: AbortSignal
  stdout: WriteStream
  stderr: WriteStream
  /** A line of the result. */
  line(text: string): void
  /** A remark beside the result, on stderr; nothing where JSON was asked for. */
  note(text: string): void
  /** The result: as JSON where that was asked for, else in words. */
  print<T>(document: T, render: (document: T) => string): void
  /** Colours a piece of the result, where stdout is a terminal that wants colours. */
  paint(style: Style, text: string): string
}

export type OutputOptions = { json?: boolean }

/**
 * Runs a command: hands it its terminal, says how it failed, and sets the exit code (0, 1, 2 for a
 * wrong call, 130 or 143 when it was interrupted).
 */
export const perform = async (
  { json = false }: OutputOptions,
  work: (io: Io) => Promise<void>,
): Promise<void> => {
  const { signal, interruption } = catchInterruption()
  try {
    await work(createIo(json, signal))
  } catch (cause) {
    const failure = toFailure(signal.aborted ? toInterruption(cause) : cause, json)
    process.stderr.write(failure.text)
    process.exitCode = failure.exitCode
  }
  const kind = interruption()
  if (kind !== null) process.exitCode = interruptedExitCode[kind]
}

/** What was under way may have said what became of it; all else is only an end. */
const toInterruption = (cause: unknown): AppError =>
  cause instanceof AppError && cause.code === 'cancelled'
    ? cause
    : new AppError('cancelled', 'Interrupted', { cause })

type Interruption = keyof typeof interruptedExitCode

const catchInterruption = () => {
  const controller = new AbortController()
  let caught: Interruption | null = null
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    process.on(name, () => {
      // Whoever presses it twice does not want to wait for anything.
      if (caught !== null) process.exit(interruptedExitCode[name])
      caught = name
      controller.abort()
    })
  }
  return { signal: controller.signal, interruption: (): Interruption | null => caught }
}

const createIo = (isJson: boolean, signal: AbortSignal): Io => {
  const { stdout, stderr } = process
  const isColored = !isJson && wantsColors(stdout, environment)
  const line = (text: string): void => void stdout.write(`${text}\n`)
  return {
    isJson,
    signal,
    stdout,
    stderr,
    line,
    note: (text) => {
      if (!isJson) stderr.write(`${text}\n`)
    },
    print: (document, render) => {
      const text = isJson ? JSON.stringify(document, null, 2) : render(document)
      if (text !== '') line(text)
    },
    paint: (style, text) => (isColored ? styleText(style, text) : text),
  }
}

/** By https://no-color.org; a terminal that is dumb gets none either. */
const wantsColors = (
  { isTTY }: { isTTY: boolean },
  { NO_COLOR, TERM }: Readonly<Record<string, string | undefined>>,
): boolean => isTTY && (NO_COLOR === undefined || NO_COLOR === '') && TERM !== 'dumb'
