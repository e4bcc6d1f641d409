import { mkdir } from 'node:fs/promises'
import path from 'node:path'
import { toServerConfig } from '@punica/bus'
import { dieWithParent, findNatsServer, startPostgres } from '@punica/embedded'
import { environment } from '../environment.ts'
import type { DataFolder } from './data-folder.ts'
import { openLogFile } from './log-file.ts'
import { keepNatsServer, type NatsProcess } from './nats-process.ts'

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

type NatsOptions = {
  url: string | undefined
  binary: string | undefined
  port: number
  onChange(change: string): void
}

/** The NATS at `url`, or an embedded nats-server with JetStream in the data folder. */
export const openNatsServer = async (
  data: DataFolder,
  { url, binary, port, onChange }: NatsOptions,
): Promise<Server & Partial<NatsProcess>> => {
  if (url !== undefined) return foreign(url)
  const storeDir = path.join(data.path, 'nats')
  await mkdir(storeDir, { recursive: true, mode: 0o700 })
  const log = openLogFile(path.join(data.logs, 'nats-server.log'))
  return keepNatsServer({
    binary: findNatsServer({
      binary,
      searchPath: environment.PATH,
      folder: path.join(data.path, 'nats-server'),
    }),
    port,
    configFor: (port) => toServerConfig({ storeDir, port, authority: data.authority }),
    configPath: path.join(data.path, 'nats-server.conf'),
    wrap: dieWithParent,
    onLog: (line) => log.write(`${line}\n`),
    onChange,
  })
}
