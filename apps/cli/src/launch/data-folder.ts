import { randomBytes, randomInt } from 'node:crypto'
import { existsSync } from 'node:fs'
import { chmod, mkdir, open, readFile, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { type Authority, createAuthority, issueCredentials } from '@punica/bus'
import {
  type Permissions,
  type Role,
  rolePermissions,
  roles,
  systemPermissions,
} from '@punica/schema'
import { isAlive, lockName, type Running, runningName, secretsName } from './running.ts'

/** What `punica up` keeps between two runs, and what only its owner may read. */
export type DataFolder = {
  path: string
  operatorKey: string
  authority: Authority
  /** Paths of the .creds files of the programs. */
  credentials: Readonly<Record<Role | 'system', string>>
  logs: string
  /** Leaves word of where the system is, for the other commands, until the folder is released. */
  announce(running: Running): Promise<void>
  /** Lets another `up` use the folder. */
  release(): Promise<void>
}

/**
 * Opens the folder, making its secrets at the first time, and locks it: two systems on one folder
 * would destroy each other's data.
 */
export const openDataFolder = async (folder: string): Promise<DataFolder> => {
  const logs = path.join(folder, 'logs')
  await mkdir(logs, { recursive: true, mode: 0o700 })
  // Postgres' user passes through here to its own folder; what is secret has modes of its own.
  await chmod(folder, 0o711)
  const unlock = await lock(path.join(folder, lockName))
  const secrets = await keptSecrets(path.join(folder, secretsName))
  const credentials = await writeCredentials(folder, secrets.authority)
  const runningFile = path.join(folder, runningName)
  await rm(runningFile, { force: true })
  return {
    path: folder,
    ...secrets,
    credentials,
    logs,
    announce: (running) => writeFile(runningFile, `${JSON.stringify(running)}\n`, { mode: 0o600 }),
    release: async () => {
      await rm(runningFile, { force: true })
      await unlock()
    },
  }
}

const keptSecrets = async (
  file: string,
): Promise<Pick<DataFolder, 'operatorKey' | 'authority'>> => {
  if (existsSync(file)) return JSON.parse(await readFile(file, 'utf8'))
  const secrets = { operatorKey: newKey(), authority: await createAuthority() }
  await writeFile(file, `${JSON.stringify(secrets)}\n`, { mode: 0o600, flag: 'wx' })
  return secrets
}

/** An API key: a public prefix to find it by, and 256 random bits. */
const newKey = (): string => {
  const letters = 'abcdefghijklmnopqrstuvwxyz0123456789'
  const prefix = Array.from({ length: 12 }, () => letters[randomInt(letters.length)]).join('')
  return `pk_${prefix}_${randomBytes(32).toString('base64url')}`
}

/** New ones at each start, so that a change of the permissions takes effect. */
const writeCredentials = async (
  folder: string,
  { account, accountSeed, systemAccountSeed }: Authority,
): Promise<DataFolder['credentials']> => {
  const write = async (name: string, seed: string, permissions: Permissions): Promise<string> => {
    const { creds } = await issueCredentials(seed, { name, permissions })
    const file = path.join(folder, `${name}.creds`)
    await writeFile(file, creds, { mode: 0o600 })
    return file
  }
  const ofRole = async (role: Role) =>
    [role, await write(role, accountSeed, rolePermissions(role))] as const
  const files = Object.fromEntries(await Promise.all(roles.map(ofRole))) as Record<Role, string>
  return { ...files, system: await write('system', systemAccountSeed, systemPermissions(account)) }
}

const lock = async (file: string): Promise<() => Promise<void>> => {
  for (let attempt = 0; attempt < 2; attempt++) {
    try {
      const handle = await open(file, 'wx')
      await handle.writeFile(String(process.pid))
      await handle.close()
      return () => rm(file, { force: true })
    } catch (cause) {
      if (!existsSync(file)) throw cause
      const pid = Number(await readFile(file, 'utf8'))
      if (isAlive(pid)) {
        throw new Error(
          `${path.dirname(file)} is in use by process ${pid}. Stop it, or name another folder with --data.`,
          { cause },
        )
      }
      await rm(file, { force: true })
    }
  }
  throw new Error(`${file} could not be locked`)
}
