import type { JetStreamClient, JetStreamManager, NatsConnection } from 'nats'
import type { Problem, Stop } from './bus.ts'
import type { BusLog } from './nats-connection.ts'

/** How long `close` waits for what is under way, and then for the connection. */
const CLOSE_MS = 5000

/** What the parts of the NATS bus share: the connection, and the things that end with it. */
export type Link = {
  connection: NatsConnection
  js: JetStreamClient
  jsm: JetStreamManager
  log: BusLog
  onProblem(problem: Problem): void
  isConnected(): boolean
  onReconnect(listener: () => void): Stop
  /** Aborted when the bus closes. */
  closing: AbortSignal
  /** Makes `close` wait for the task, which ends by `closing`. */
  track(task: Promise<void>): void
  close(): Promise<void>
}

type Deps = Pick<Link, 'connection' | 'log' | 'onProblem'>

export const createLink = async ({ connection, log, onProblem }: Deps): Promise<Link> => {
  const closing = new AbortController()
  const tasks = new Set<Promise<void>>()
  const listeners = new Set<() => void>()
  let isConnected = true

  const followStatus = async (): Promise<void> => {
    for await (const { type, data, permissionContext } of connection.status()) {
      if (type === 'error' && permissionContext?.operation === 'publish') {
        onProblem({ subject: permissionContext.subject, kind: 'refused', error: data })
      }
      if (type === 'disconnect') isConnected = false
      if (type === 'reconnect') {
        isConnected = true
        for (const listener of listeners) listener()
      }
    }
  }
  void followStatus()

  return {
    connection,
    js: connection.jetstream({ checkAPI: false }),
    jsm: await connection.jetstreamManager({ checkAPI: false }),
    log,
    onProblem,
    isConnected: () => isConnected,
    onReconnect(listener) {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
    closing: closing.signal,
    track(task) {
      tasks.add(task)
      task.finally(() => tasks.delete(task))
    },
    async close() {
      closing.abort()
      const drain = async (): Promise<void> => {
        await Promise.all(tasks)
        // A server that is away cannot confirm the end of a drain.
        if (isConnected) await connection.drain()
      }
      await settle(drain())
      await settle(connection.close())
    },
  }
}

/** Waits for the end of a task, whatever that is, but not for longer than CLOSE_MS. */
const settle = async (task: Promise<void>): Promise<void> => {
  const done = new AbortController()
  await Promise.race([task.catch(() => {}), pause(CLOSE_MS, done.signal)])
  done.abort()
}

/** Waits, or returns at once when the signal is aborted. */
export const pause = (ms: number, signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) return resolve()
    const done = (): void => {
      clearTimeout(timer)
      signal.removeEventListener('abort', done)
      resolve()
    }
    const timer = setTimeout(done, ms)
    signal.addEventListener('abort', done)
  })
