import { join } from 'node:path'
import { limits } from '@punica/schema'
import type { Authority } from './credentials.ts'

export type ServerOptions = {
  /** Where JetStream keeps its files. */
  storeDir: string
  host?: string
  /** -1 picks a free port. */
  port?: number
  serverName?: string
  /** Without it every client is let in and may do everything. */
  authority?: Authority
}

/** The text of a nats-server configuration: loopback, JetStream, and our limits. */
export const toServerConfig = ({
  storeDir,
  host = '127.0.0.1',
  port = -1,
  serverName = 'punica',
  authority,
}: ServerOptions): string => {
  const lines = [
    `server_name: ${quote(serverName)}`,
    `listen: ${quote(`${host}:${port}`)}`,
    `max_payload: ${limits.messageBytes}`,
    `max_pending: ${8 * limits.messageBytes}`,
    `jetstream { store_dir: ${quote(storeDir)} }`,
  ]
  if (authority !== undefined) {
    lines.push(
      `operator: ${authority.operatorJwt}`,
      // Its folder keeps what is pushed at run time: an account whose claims revoke users. What is
      // preloaded counts only where there is nothing newer.
      'resolver {',
      '  type: full',
      `  dir: ${quote(join(storeDir, 'accounts'))}`,
      '  allow_delete: false',
      '}',
      `system_account: ${authority.systemAccount}`,
      'resolver_preload {',
      `  ${authority.account}: ${authority.accountJwt}`,
      `  ${authority.systemAccount}: ${authority.systemAccountJwt}`,
      '}',
    )
  }
  return `${lines.join('\n')}\n`
}

const quote = (text: string): string => JSON.stringify(text)
