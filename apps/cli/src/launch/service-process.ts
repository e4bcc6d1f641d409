import { type ChildProcess, spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { environment } from '../environment.ts'
import type { LogFile } from './log-file.ts'

const root = fileURLToPath(new URL('../../../../', import.meta.url))
const tsx = import.meta.resolve('tsx')

const readyMs = 60_000
const graceMs = 30_000
const minBackoffMs = 250
const defaultMaxBackoffMs = 10_000
/** A service that ran this long starts again without waiting. */
const stableMs = 60_000

/** What a service said when it was ready, or when its role changed. */
type Facts = { url?: string; port?: number; statusPort?: number; role?: string }

export type ServiceOptions = {
  name: string
  /** Folder of the app below apps/. */
  app: string
  env: Readonly<Record<string, string>>
  log: LogFile
  maxBackoffMs?: number | undefined
  /** Told when it ended without being asked to, and when it is ready again. */
  onChange(change: string): void
}

/** A service kept alive: started again, with growing pauses, for as long as it is wanted. */
export type ServiceProcess = {
  readonly name: string
  readonly facts: Facts
  /** Resolves when it is ready for the first time; rejects when it ended before. */
  start(): Promise<void>
  /** Resolves once it is ready again after an end. */
  untilRestarted(): Promise<void>
  /** Ends it as a crash would; it is started again. */
  kill(signal?: NodeJS.Signals): void
  /** Ends it in order, or by force after a grace. */
  stop(): Promise<void>
}

export const createServiceProcess = (options: ServiceOptions): ServiceProcess => {
  const { name, log, onChange, maxBackoffMs = defaultMaxBackoffMs } = options
  let child: ChildProcess | null = null
  let facts: Facts = {}
  let wanted = true
  let backoffMs = minBackoffMs
  let restart: NodeJS.Timeout | undefined
  let waiters: (() => void)[] = []

  const launch = async (): Promise<void> => {
    const startedMs = Date.now()
    const process = spawnService(options, facts, (told) => {
      facts = told
    })
    child = process
    process.once('exit', (code, signal) => {
      if (!wanted || child !== process || !process.wasReady) return
      child = null
      const { role: _, ...kept } = facts
      facts = kept
      onChange(`${name} ended with ${signal ?? code}; it is started again\n${log.tail()}`)
      if (Date.now() - startedMs > stableMs) backoffMs = minBackoffMs
      again()
    })
    await process.ready
  }

  const again = (): void => {
    restart = setTimeout(() => {
      launch().then(
        () => {
          onChange(`${name} is ready again`)
          for (const resolve of waiters.splice(0)) resolve()
        },
        (err) => {
          if (!wanted) return
          onChange(err.message)
          again()
        },
      )
    }, backoffMs)
    backoffMs = Math.min(maxBackoffMs, backoffMs * 2)
  }

  return {
    name,
    get facts() {
      return facts
    },
    start: () => {
      wanted = true
      return launch()
    },
    untilRestarted: () => new Promise((resolve) => waiters.push(resolve)),
    kill: (signal = 'SIGKILL') => void child?.kill(signal),
    stop: async () => {
      wanted = false
      waiters = []
      clearTimeout(restart)
      if (child !== null) await end(child)
    },
  }
}

type Spawned = ChildProcess & { ready: Promise<void>; wasReady: boolean }

/**
 * Its own process group keeps a Ctrl-C in the terminal from reaching it, so that services end in
 * order; the IPC channel ends it when this process is gone. A port that it has had it gets again.
 */
const spawnService = (
  { name, app, env, log }: ServiceOptions,
  { port }: Facts,
  onFacts: (facts: Facts) => void,
): Spawned => {
  const child = spawn(process.execPath, ['--import', tsx, `${root}apps/${app}/src/main.ts`], {
    cwd: root,
    detached: true,
    env: { ...basicEnv(), ...env, ...(port === undefined ? {} : { PORT: String(port) }) },
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  })
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', (text: string) => log.write(text))
  }
  const spawned: Spawned = Object.assign(child, {
    wasReady: false,
    ready: new Promise<void>((resolve, reject) => {
      const fail = (why: string): void => {
        clearTimeout(timer)
        child.kill('SIGKILL')
        reject(new Error(`${name} ${why}. The end of ${log.path}:\n${log.tail()}`))
      }
      const timer = setTimeout(() => fail(`was not ready within ${readyMs / 1000} s`), readyMs)
      child.once('error', (err) => fail(`did not start: ${err.message}`))
      child.once('exit', (code, signal) => {
        if (!spawned.wasReady) fail(`ended with ${signal ?? code} before it was ready`)
      })
      child.on('message', (message: Facts & { type: string }) => {
        if (message.type !== 'ready') return
        clearTimeout(timer)
        spawned.wasReady = true
        onFacts(message)
        resolve()
      })
    }),
  })
  return spawned
}

/** Services get the settings that they are given, and of this process only what any program needs. */
const basicEnv = (): Record<string, string> =>
  Object.fromEntries(
    ['PATH', 'HOME', 'LANG', 'TMPDIR', 'LD_LIBRARY_PATH', 'LOG_LEVEL', 'NODE_OPTIONS'].flatMap(
      (name) => {
        const value = environment[name]
        return value === undefined ? [] : [[name, value]]
      },
    ),
  )

const end = async (child: ChildProcess): Promise<void> => {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  const force = setTimeout(() => child.kill('SIGKILL'), graceMs)
  child.kill('SIGTERM')
  await exited
  clearTimeout(force)
}
