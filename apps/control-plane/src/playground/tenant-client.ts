import { issueCredentials } from '@punica/bus'
import { type Client, connectClient } from '@punica/client'
import { tenantInboxPrefix, tenantPermissions } from '@punica/schema'
import type { Logger } from '@punica/service'

type Options = {
  natsUrl: string
  /** Of this process; used where there is no account seed. */
  natsCreds: string | undefined
  /** Signs a credential of the tenant; null: there is none. */
  accountSeed: string | null
  log: Logger
}

export type TenantClient = Client & { close(): Promise<void> }

/** Opens the gateway's NATS API as a client of the tenant, who can reach no other's subjects. */
export type ConnectTenant = (tenant: string, apiKey: string) => Promise<TenantClient>

/** A credential is needed while one run lasts, and no run lasts longer. */
const credentialMs = 15 * 60_000

export const tenantClients =
  ({ natsUrl: url, natsCreds, accountSeed, log }: Options): ConnectTenant =>
  async (tenant, apiKey) => {
    const common = { url, name: `playground of ${tenant}`, tenant, apiKey, log }
    if (accountSeed === null) {
      const inboxPrefix = tenantInboxPrefix(tenant)
      return connectClient({ ...common, credentialsFile: natsCreds, inboxPrefix })
    }
    const { creds } = await issueCredentials(accountSeed, {
      name: common.name,
      permissions: tenantPermissions(tenant),
      expiresAt: new Date(Date.now() + credentialMs),
    })
    return connectClient({ ...common, credentials: creds })
  }
