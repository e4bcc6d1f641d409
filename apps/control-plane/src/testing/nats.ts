import {
  type AccountClaims,
  type Authority,
  type Bus,
  connectAccountClaims,
  connectBus,
  createAuthority,
  issueCredentials,
} from '@punica/bus'
import { startNatsServer, type TestNatsServer } from '@punica/bus/testing'
import { type Role, rolePermissions, systemPermissions } from '@punica/schema'

export type TestNats = {
  authority: Authority
  server: TestNatsServer
  /** As `punica up` starts it. */
  accountClaims: AccountClaims
  credentialsOf(role: Role): Promise<string>
  connect(role: Role): Promise<Bus>
  systemCredentials: string
  stop(): Promise<void>
}

/** A real nats-server of its own with the authorisation of `punica up`. */
export const startNats = async (): Promise<TestNats> => {
  const authority = await createAuthority()
  const server = await startNatsServer({ authority })
  const { account, accountSeed, operatorSeed, systemAccountSeed } = authority
  const request = { name: 'system', permissions: systemPermissions(account) }
  const { creds } = await issueCredentials(systemAccountSeed, request)
  const accountClaims = await connectAccountClaims({
    url: server.url,
    credentials: creds,
    account,
    operatorSeed,
  })
  const credentialsOf = async (role: Role): Promise<string> =>
    (await issueCredentials(accountSeed, { name: role, permissions: rolePermissions(role) })).creds
  return {
    authority,
    server,
    accountClaims,
    credentialsOf,
    connect: async (role) =>
      connectBus({ url: server.url, credentials: await credentialsOf(role) }),
    systemCredentials: creds,
    stop: async () => {
      await accountClaims.close()
      await server.stop()
    },
  }
}
