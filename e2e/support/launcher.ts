import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdir, readFile, readlink } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { until } from './until.ts'

const root = fileURLToPath(new URL('../../', import.meta.url))
const main = fileURLToPath(new URL('../../apps/cli/src/main.ts', import.meta.url))

export type Launcher = {
  pid: number
  /** Resolves with what it said of itself once everything is up; rejects when it ends before. */
  ready: Promise<{ gatewayUrl: string; controlPlaneUrl: string; operatorKey: string }>
  /** Resolves with how it ended and everything that it said. */
  ended: Promise<{ code: number | null; signal: NodeJS.Signals | null; output: string }>
  /** As a terminal does: to the whole process group. */
  press(signal: 'SIGINT' | 'SIGTERM'): void
  kill(): void
}

/** `punica up` on a folder, as a user starts it, on free ports. */
export const startLauncher = (folder: string): Launcher => {
  const ports = ['--port', '0', '--control-port', '0', '--nats-port', '0']
  const args = ['--import', 'tsx', main, 'up', '--data', folder, '--nodes', '1', ...ports]
  // A process group of its own, as a shell gives to what it runs.
  const child = spawn(process.execPath, args, {
    cwd: root,
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const pid = child.pid ?? 0
  let output = ''
  const ready = new Promise<Awaited<Launcher['ready']>>((resolve, reject) => {
    const read = (text: string): void => {
      output += text
      const [, gatewayUrl] = /^OpenAI API +(\S+)\/v1$/m.exec(output) ?? []
      const [, controlPlaneUrl] = /^GraphQL +(\S+)\/graphql$/m.exec(output) ?? []
      const [, operatorKey] = /^Operator's key +(\S+)$/m.exec(output) ?? []
      if (gatewayUrl === undefined || controlPlaneUrl === undefined) return
      if (operatorKey !== undefined) resolve({ gatewayUrl, controlPlaneUrl, operatorKey })
    }
    child.stdout.setEncoding('utf8').on('data', read)
    child.stderr.setEncoding('utf8').on('data', read)
    child.once('close', () => reject(new Error(`punica up ended:\n${output}`)))
  })
  // Whoever awaits it is told; one that nobody awaits must not end the tests.
  ready.catch(() => {})
  return {
    pid,
    ready,
    ended: once(child, 'close').then(([code, signal]) => ({ code, signal, output })),
    press: (signal) => void process.kill(-pid, signal),
    kill: () => void child.kill('SIGKILL'),
  }
}

/**
 * Every process that belongs to the folder: it is named in the command line or the environment, or
 * is where the process works. Read from /proc, so it works on Linux alone.
 */
export const processesOf = async (folder: string): Promise<{ pid: number; command: string }[]> => {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name))
  const found = await Promise.all(
    pids.map(async (pid) => {
      const read = (file: string) => readFile(`/proc/${pid}/${file}`, 'latin1').catch(() => '')
      const cwd = readlink(`/proc/${pid}/cwd`).catch(() => '')
      const [command, environ, place] = await Promise.all([read('cmdline'), read('environ'), cwd])
      const belongs = [command, environ, place].some((text) => text.includes(folder))
      return belongs ? [{ pid: Number(pid), command: command.replaceAll('\0', ' ') }] : []
    }),
  )
  return found.flat()
}

export const untilNoProcess = (folder: string): Promise<true> =>
  until(
    `no process of ${folder}`,
    async () => ((await processesOf(folder)).length === 0 ? true : null),
    20_000,
  )
