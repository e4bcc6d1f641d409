import { randomBytes } from 'node:crypto'
import { mkdir, readdir, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { createAuthority, issueCredentials, toServerConfig } from '@punica/bus'
import { type Permissions, rolePermissions, roles, systemPermissions } from '@punica/schema'

// npx tsx deploy/make-secrets.ts FOLDER: the secrets of a new installation, as deploy/README.md says.

/** An API key: twelve letters to find it by, and 256 random bits. */
const newKey = (): string => {
  const prefix = randomBytes(6).toString('hex')
  return `pk_${prefix}_${randomBytes(32).toString('base64url')}`
}

const toEnv = (settings: Record<string, string>): string =>
  Object.entries(settings)
    .map(([name, value]) => `${name}=${value}\n`)
    .join('')

/** The text of each file, by name; nothing of it is ever made again the same. */
const makeSecrets = async (): Promise<Record<string, string>> => {
  const authority = await createAuthority()
  const { account, accountSeed, operatorSeed, systemAccountSeed } = authority
  const issue = async (name: string, seed: string, permissions: Permissions) =>
    [`${name}.creds`, (await issueCredentials(seed, { name, permissions })).creds] as const
  const credentials = await Promise.all([
    ...roles.map((role) => issue(role, accountSeed, rolePermissions(role))),
    issue('system', systemAccountSeed, systemPermissions(account)),
  ])
  return {
    ...Object.fromEntries(credentials),
    'control-plane.env': toEnv({
      OPERATOR_KEY: newKey(),
      NATS_ACCOUNT_SEED: accountSeed,
      NATS_OPERATOR_SEED: operatorSeed,
    }),
    'nats.conf': toServerConfig({ storeDir: '/data', host: '0.0.0.0', port: 4222, authority }),
  }
}

const [, , folder] = process.argv
if (folder === undefined) throw new Error('usage: npx tsx deploy/make-secrets.ts FOLDER')
await mkdir(folder, { recursive: true, mode: 0o700 })
if ((await readdir(folder)).length > 0) {
  throw new Error(`${folder} is not empty: what is in it may be the secrets of a running system`)
}
for (const [name, text] of Object.entries(await makeSecrets())) {
  await writeFile(path.join(folder, name), text, { mode: 0o600, flag: 'wx' })
}
