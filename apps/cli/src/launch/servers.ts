import { mkdir } from 'node:fs/promises'
import path from 'node:path'
import { spawnNatsServer, toServerConfig } from '@punica/bus'
import { dieWithParent, findNatsServer, startPostgres } from '@punica/embedded'
import { environment } from '../environment.ts'
import type { DataFolder } from './data-folder.ts'
import { openLogFile } from './log-file.ts'

/** Something that the services connect to, embedded or run by somebody else. */
export type Server = { url: string; stop(): Promise<void> }

const foreign = (url: string): Server => ({ url, stop: async () => {} })

/** The database at `url`, or an embedded one in the data folder. */
export const openDatabaseServer = async (
  data: DataFolder,
  { url, durable }: { url: string | undefined; durable: boolean },
): Promise<Server> => {
  if (url !== undefined) return foreign(url)
  const log = openLogFile(path.join(data.logs, 'postgres.log'))
  return startPostgres({
    folder: path.join(data.path, 'database'),
    durable,
    onLog: (line) => log.write(`${line}\n`),
  })
}

/** The NATS at `url`, or an embedded nats-server with JetStream in the data folder. */
export const openNatsServer = async (
  data: DataFolder,
  options: { url: string | undefined; binary: string | undefined; port: number },
): Promise<Server> => {
  if (options.url !== undefined) return foreign(options.url)
  const folder = path.join(data.path, 'nats')
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const log = openLogFile(path.join(data.logs, 'nats-server.log'))
  return spawnNatsServer({
    binary: findNatsServer({
      binary: options.binary,
      searchPath: environment.PATH,
      folder: path.join(data.path, 'nats-server'),
    }),
    config: toServerConfig({ storeDir: folder, port: options.port, authority: data.authority }),
    configPath: path.join(data.path, 'nats-server.conf'),
    wrap: dieWithParent,
    onLog: (line) => log.write(`${line}\n`),
  })
}
