import { existsSync } from 'node:fs'
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { connectNats } from '@punica/bus'
import { AppError } from '@punica/schema'
import type { Logger } from '@punica/service'
import type { Config } from '../config.ts'
import { exchangeToken } from './exchange.ts'

type Deps = {
  config: Pick<Config, 'natsUrl' | 'natsCredentialsFile' | 'join' | 'nodeId' | 'pool'>
  log: Pick<Logger, 'info' | 'warn'>
}

/**
 * The path of the node's .creds file. A node that joins by a token keeps what it got, and goes on
 * with it however long the token is spent; only where the file is missing, or NATS refuses what is in
 * it, does the token count. Rejects with AppError where neither lets the node in.
 */
export const findCredentials = async (
  signal: AbortSignal,
  { config, log }: Deps,
): Promise<string | undefined> => {
  const { join, natsCredentialsFile: file, nodeId, pool } = config
  if (join === null || file === undefined) return file
  if (existsSync(file) && (await isLetIn(config.natsUrl, file))) return file
  const token = join.token ?? (await readToken(join.tokenFile))
  const joined = await exchangeToken(signal, { url: join.url, token, nodeId }, log)
  if (joined.pool !== pool) {
    const message = `The join token is of pool ${joined.pool}, and this node is set to POOL=${pool}`
    throw new AppError('invalid_request', message, { param: 'POOL' })
  }
  await keep(file, joined.creds)
  log.info({ nodeId, pool, file }, 'joined')
  return file
}

/** Whether NATS takes the credential; rejects with AppError `unavailable` where NATS is away. */
const isLetIn = async (url: string, credentialsFile: string): Promise<boolean> => {
  try {
    await (await connectNats({ url, credentialsFile, name: 'joining' })).close()
    return true
  } catch (cause) {
    if (cause instanceof AppError && cause.code === 'unauthenticated') return false
    throw cause
  }
}

const readToken = async (file: string): Promise<string> => {
  try {
    return (await readFile(file, 'utf8')).trim()
  } catch (cause) {
    const message = `JOIN_TOKEN_FILE: ${file} cannot be read, and the node has no credential yet`
    throw new AppError('invalid_request', message, { cause, param: 'JOIN_TOKEN_FILE' })
  }
}

/** All of it or nothing, for this user alone: a half-written file would lock the node out. */
const keep = async (file: string, creds: string): Promise<void> => {
  await mkdir(path.dirname(file), { recursive: true })
  const partial = `${file}.partial`
  await writeFile(partial, creds, { mode: 0o600 })
  await rename(partial, file)
}
