import { type NatsServer, spawnNatsServer } from '@punica/bus'

export type NatsProcess = {
  url: string
  /** Ends it as a crash would; it is started again. */
  kill(): void
  /** Resolves once it is ready again after an end. */
  untilRestarted(): Promise<void>
  stop(): Promise<void>
}

type Options = Omit<Parameters<typeof spawnNatsServer>[0], 'config'> & {
  /** Text of the configuration; -1 picks a free port. */
  configFor: (port: number) => string
  port: number
  /** Told when it ended without being asked to, and when it is ready again. */
  onChange(change: string): void
}

const restartMs = 250

/** A nats-server kept alive: when it ends, it is started again on its port. */
export const keepNatsServer = async (options: Options): Promise<NatsProcess> => {
  const { configFor, port, onChange } = options
  let waiters: (() => void)[] = []
  let wanted = true
  let restart: NodeJS.Timeout | undefined
  let server = await spawnNatsServer({ ...options, config: configFor(port) })
  const { url } = server

  const again = (): void => {
    restart = setTimeout(async () => {
      try {
        server = await spawnNatsServer({ ...options, config: configFor(server.port) })
        if (!wanted) return await server.stop()
        watch(server)
        onChange('nats-server is ready again')
        for (const resolve of waiters.splice(0)) resolve()
      } catch (err) {
        onChange(String(err))
        if (wanted) again()
      }
    }, restartMs)
  }

  const watch = ({ child }: NatsServer): void => {
    child.once('exit', (code, signal) => {
      if (!wanted) return
      onChange(`nats-server ended with ${signal ?? code}; it is started again`)
      again()
    })
  }
  watch(server)

  return {
    url,
    kill: () => void server.child.kill('SIGKILL'),
    untilRestarted: () => new Promise((resolve) => waiters.push(resolve)),
    stop: async () => {
      wanted = false
      waiters = []
      clearTimeout(restart)
      await server.stop()
    },
  }
}
