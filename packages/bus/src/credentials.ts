import { limits, type Permissions } from '@punica/schema'
import {
  createAccount,
  createOperator,
  createUser,
  decode,
  encodeAccount,
  encodeOperator,
  encodeUser,
  fmtCreds,
  fromSeed,
  type KeyPair,
  type User,
} from 'nats-jwt'

/**
 * Who says which users a NATS server lets in: an operator signs the accounts, and whoever holds an
 * account's seed issues its users, with no server involved. The seeds are secrets.
 */
export type Authority = {
  operatorJwt: string
  operatorSeed: string
  accountJwt: string
  /** Public key of the account. */
  account: string
  accountSeed: string
  systemAccountJwt: string
  systemAccount: string
  systemAccountSeed: string
}

/** A user of NATS: the text of its .creds file, and below which subject it reads answers. */
export type IssuedCredentials = {
  creds: string
  inboxPrefix: string
  /** The user's public key, by which a server's monitoring names it. */
  user: string
}

export type CredentialRequest = {
  name: string
  permissions: Permissions
  /** From then on the server closes its connections and refuses new ones; absent: never. */
  expiresAt?: Date | undefined
}

/** Makes an operator with one account for the system and one for nats-server's own events. */
export const createAuthority = async (name = 'punica'): Promise<Authority> => {
  const operator: KeyPair = createOperator()
  const account: KeyPair = createAccount()
  const system: KeyPair = createAccount()
  const unlimited = { subs: -1, conn: -1, leaf: -1, imports: -1, exports: -1, data: -1 }
  const storage = { mem_storage: -1, disk_storage: -1, streams: -1, consumer: -1 }
  return {
    operatorJwt: await encodeOperator(name, operator, { system_account: system.getPublicKey() }),
    operatorSeed: seedOf(operator),
    accountJwt: await encodeAccount(
      name,
      account,
      { limits: { ...unlimited, ...storage, payload: limits.messageBytes, wildcards: true } },
      { signer: operator },
    ),
    account: account.getPublicKey(),
    accountSeed: seedOf(account),
    systemAccountJwt: await encodeAccount(
      'SYS',
      system,
      { limits: { ...unlimited, payload: -1, wildcards: true } },
      { signer: operator },
    ),
    systemAccount: system.getPublicKey(),
    systemAccountSeed: seedOf(system),
  }
}

/** The public key of the account whose seed it is. */
export const accountOf = (accountSeed: string): string =>
  fromSeed(new TextEncoder().encode(accountSeed)).getPublicKey()

/** Issues a user that may do what `permissions` say and nothing else. */
export const issueCredentials = async (
  accountSeed: string,
  { name, permissions, expiresAt }: CredentialRequest,
): Promise<IssuedCredentials> => {
  const user: KeyPair = createUser()
  const account: KeyPair = fromSeed(new TextEncoder().encode(accountSeed))
  const jwt = await encodeUser(
    name,
    user,
    account,
    {
      pub: { allow: [...permissions.publish], deny: [] },
      sub: { allow: [...permissions.subscribe], deny: [] },
    },
    expiresAt === undefined ? {} : { exp: Math.floor(expiresAt.getTime() / 1000) },
  )
  const creds = new TextDecoder().decode(fmtCreds(jwt, user))
  return { creds, inboxPrefix: inboxPrefixOf(creds) ?? '_INBOX', user: user.getPublicKey() }
}

/** The inbox prefix that the permissions of a .creds file allow, or null where they allow none. */
export const inboxPrefixOf = (creds: string): string | null => {
  const jwt = /-----BEGIN NATS USER JWT-----\s*(\S+)/.exec(creds)?.[1]
  if (jwt === undefined) return null
  const allowed = decode<User>(jwt).nats.sub?.allow ?? []
  const inbox = allowed.find((subject) => subject.startsWith('_INBOX.'))
  return inbox === undefined ? null : inbox.replace(/\.>$/, '')
}

const seedOf = (pair: KeyPair): string => new TextDecoder().decode(pair.getSeed())
