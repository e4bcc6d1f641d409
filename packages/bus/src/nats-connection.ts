import { readFile } from 'node:fs/promises'
import { AppError } from '@punica/schema'
import { connect, credsAuthenticator, type NatsConnection, NatsError } from 'nats'
import { inboxPrefixOf } from './credentials.ts'

/** The part of a pino logger that the bus uses. */
export type BusLog = {
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
}

export type NatsOptions = {
  /** `nats://host:port`, or several with commas. */
  url: string
  /** The text of a .creds file (a user JWT and its seed). */
  credentials?: string | undefined
  /** Path of a .creds file, instead of its text. */
  credentialsFile?: string | undefined
  /** Shown by the server's monitoring. */
  name?: string
  /** Under which answers are read; without it, the one that the credential allows. */
  inboxPrefix?: string | undefined
  log?: BusLog
}

/** Credentials as text, and the prefix of the inboxes that go with them. */
export type NatsIdentity = { credentials: string | undefined; inboxPrefix: string }

export const readIdentity = async (options: NatsOptions): Promise<NatsIdentity> => {
  const { credentialsFile } = options
  const credentials =
    credentialsFile === undefined ? options.credentials : await readFile(credentialsFile, 'utf8')
  const allowed = credentials === undefined ? null : inboxPrefixOf(credentials)
  return { credentials, inboxPrefix: options.inboxPrefix ?? allowed ?? '_INBOX' }
}

/**
 * Opens a connection that comes back by itself for as long as the process lives. The first attempt
 * is the exception: a wrong address rejects with AppError `unavailable`, a credential that the server
 * refuses with `unauthenticated`. A program that moves much data beside its messages opens a second
 * connection for it.
 */
export const connectNats = async (options: NatsOptions): Promise<NatsConnection> => {
  const { url, name = 'punica', log } = options
  const { credentials, inboxPrefix } = await readIdentity(options)
  const servers = url.split(',').map((server) => server.trim())
  try {
    const connection = await connect({
      servers,
      name,
      inboxPrefix,
      maxReconnectAttempts: -1,
      reconnectTimeWait: 250,
      reconnectJitter: 250,
      ignoreAuthErrorAbort: true,
      pingInterval: 10_000,
      noEcho: false,
      noAsyncTraces: true,
      ...(credentials === undefined
        ? {}
        : { authenticator: credsAuthenticator(new TextEncoder().encode(credentials)) }),
    })
    if (log !== undefined) void logStatus(connection, log)
    return connection
  } catch (cause) {
    const where = servers.map(withoutSecrets).join(', ')
    const code =
      cause instanceof NatsError && cause.isAuthError() ? 'unauthenticated' : 'unavailable'
    throw new AppError(code, `Cannot connect to NATS at ${where}: ${toMessage(cause)}`, { cause })
  }
}

const logStatus = async (connection: NatsConnection, log: BusLog): Promise<void> => {
  for await (const { type, data, permissionContext } of connection.status()) {
    if (type === 'disconnect') log.warn({ server: data }, 'nats connection lost')
    if (type === 'reconnect') log.info({ server: data }, 'nats connection restored')
    if (type === 'error') log.warn({ code: data, ...permissionContext }, 'nats server complained')
  }
}

const withoutSecrets = (server: string): string => server.replace(/\/\/[^@/]*@/, '//')

const toMessage = (cause: unknown): string =>
  cause instanceof Error ? cause.message : String(cause)
