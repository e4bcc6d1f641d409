import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Records } from './bus.ts'
import type { Authority } from './credentials.ts'
import { spawnNatsServer } from './nats-server.ts'
import { toServerConfig } from './server-config.ts'

export type TestNatsServer = {
  url: string
  /** Ends the process at once, as a crash would; `start` brings it back on the same port. */
  kill(): Promise<void>
  start(): Promise<void>
  /** Ends it and removes its files; may be used as `await using`. */
  stop(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

/** A nats-server of its own for a test: free port, JetStream in a temporary folder. */
export const startNatsServer = async ({
  authority,
}: {
  authority?: Authority
} = {}): Promise<TestNatsServer> => {
  const folder = await mkdtemp(join(tmpdir(), 'punica-nats-'))
  const launch = (port: number) =>
    spawnNatsServer({
      binary: findBinary(),
      configPath: join(folder, 'nats.conf'),
      config: toServerConfig({
        storeDir: folder,
        port,
        ...(authority === undefined ? {} : { authority }),
      }),
    })
  let server = await launch(-1)
  const stop = async (): Promise<void> => {
    await server.stop()
    await rm(folder, { recursive: true, force: true })
  }
  return {
    url: server.url,
    async kill() {
      const exited = new Promise((resolve) => server.child.once('exit', resolve))
      server.child.kill('SIGKILL')
      await exited
    },
    async start() {
      server = await launch(server.port)
    },
    stop,
    [Symbol.asyncDispose]: stop,
  }
}

const findBinary = (): string => {
  const known = [
    '/usr/sbin/nats-server',
    '/usr/local/bin/nats-server',
    '/opt/homebrew/bin/nats-server',
  ]
  return known.find((path) => existsSync(path)) ?? 'nats-server'
}

/** A list that can be waited for. */
export const collect = <T>() => {
  const items: T[] = []
  let wake = (): void => {}
  return {
    items,
    push(item: T): void {
      items.push(item)
      wake()
    },
    /** Resolves once there are `count` items, with all of them. */
    async take(count: number): Promise<T[]> {
      while (items.length < count) {
        await new Promise<void>((resolve) => {
          wake = resolve
        })
      }
      return items
    },
  }
}

/** The keys that there are, sorted. */
export const keysOf = async <T>(records: Pick<Records<T>, 'scan'>): Promise<string[]> => {
  const keys: string[] = []
  await records.scan(async (page) => void keys.push(...page.map(({ key }) => key)))
  return keys.sort()
}
