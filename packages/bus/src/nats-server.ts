import { type ChildProcess, spawn } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { createInterface } from 'node:readline'

const START_MS = 10_000
const STOP_MS = 5000

export type NatsServer = {
  url: string
  port: number
  child: ChildProcess
  /** Ends it in order, or by force when it takes too long. */
  stop(): Promise<void>
}

export type SpawnOptions = {
  binary: string
  /** Text from `toServerConfig`; it is written to `configPath`, readable by this user alone. */
  config: string
  configPath: string
  /** Turns the command line into the one to run, for a launcher that ties the process to itself. */
  wrap?: (command: string, args: readonly string[]) => [string, string[]]
  /** Receives each line that the server logs. */
  onLog?: (line: string) => void
}

/** Starts a nats-server and waits until it takes connections; it says itself on which port. */
export const spawnNatsServer = async (options: SpawnOptions): Promise<NatsServer> => {
  const { binary, config, configPath, wrap = (command, args) => [command, [...args]] } = options
  await writeFile(configPath, config, { mode: 0o600 })
  const [command, args] = wrap(binary, ['-c', configPath])
  // A process group of its own: a Ctrl-C in the terminal is for the launcher alone.
  const child = spawn(command, args, { detached: true, stdio: ['ignore', 'ignore', 'pipe'] })
  const port = await new Promise<number>((resolve, reject) => {
    const tail: string[] = []
    let port: number | null = null
    const fail = (why: string): void => {
      clearTimeout(timer)
      child.kill('SIGKILL')
      reject(new Error(`nats-server ${why}${tail.map((line) => `\n  ${line}`).join('')}`))
    }
    const timer = setTimeout(() => fail(`was not ready within ${START_MS} ms`), START_MS)
    child.once('error', (err) => fail(`did not start: ${err.message}`))
    child.once('exit', (code, signal) => fail(`ended with ${signal ?? code} while starting`))
    createInterface({ input: child.stderr }).on('line', (line) => {
      options.onLog?.(line)
      tail.push(line)
      if (tail.length > 10) tail.shift()
      port ??= portOf(line)
      if (port === null || !line.includes('Server is ready')) return
      clearTimeout(timer)
      child.removeAllListeners('exit')
      resolve(port)
    })
  })
  return { url: `nats://127.0.0.1:${port}`, port, child, stop: () => stop(child) }
}

const portOf = (line: string): number | null => {
  const found = /Listening for client connections on \S*:(\d+)/.exec(line)
  return found === null ? null : Number(found[1])
}

const stop = async (child: ChildProcess): Promise<void> => {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  const force = setTimeout(() => child.kill('SIGKILL'), STOP_MS)
  child.kill('SIGTERM')
  await exited
  clearTimeout(force)
}
