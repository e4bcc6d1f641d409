import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

const main = fileURLToPath(new URL('../../apps/cli/src/main.ts', import.meta.url))
const root = fileURLToPath(new URL('../../', import.meta.url))

export type Outcome = {
  code: number | null
  signal: NodeJS.Signals | null
  stdout: string
  stderr: string
}

export type RunningCli = {
  child: ChildProcess
  /** What it has printed so far. */
  printed(): { stdout: string; stderr: string }
  ended: Promise<Outcome>
}

/** What every run of a CLI starts from: no setting of the machine that runs the test. */
export type CliOptions = { env?: Record<string, string>; input?: string }

/** The command line as a process of its own, whose output is no terminal. */
export const startCli = (
  args: readonly string[],
  { env = {}, input = '' }: CliOptions = {},
): RunningCli => {
  const { PATH = '', HOME = '' } = process.env
  const child = spawn(process.execPath, ['--import', 'tsx', main, ...args], {
    cwd: root,
    env: { PATH, HOME, ...env },
    stdio: ['pipe', 'pipe', 'pipe'],
  })
  const printed = { stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (text: string) => {
      printed[name] += text
    })
  }
  child.stdin.on('error', () => {})
  child.stdin.end(input)
  const ended = once(child, 'close').then(([code, signal]) => ({ code, signal, ...printed }))
  return { child, printed: () => ({ ...printed }), ended }
}
