import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'

type Options = {
  /** A path that the user gave; it is taken as it is. */
  binary?: string | undefined
  /** The PATH to look through. */
  searchPath?: string | undefined
  /** Where a downloaded package is unpacked. */
  folder: string
}

const help =
  'nats-server is missing. Install it (Debian, Ubuntu: apt-get install nats-server; macOS: brew ' +
  'install nats-server; others: see nats.io), or name its binary in NATS_SERVER_BIN, or name a ' +
  'running server in NATS_URL.'

/**
 * The path of a nats-server: the one that was given, one on the PATH or in the usual places, or
 * Debian's package, unpacked into `folder` without root. Throws with the ways to get one.
 */
export const findNatsServer = ({ binary, searchPath = '', folder }: Options): string => {
  if (binary !== undefined) {
    if (existsSync(binary)) return binary
    throw new Error(`NATS_SERVER_BIN: there is no ${binary}`)
  }
  const unpacked = join(folder, 'usr/sbin/nats-server')
  const places = [
    ...searchPath
      .split(':')
      .filter((path) => path !== '')
      .map((path) => join(path, 'nats-server')),
    '/usr/sbin/nats-server',
    '/usr/local/bin/nats-server',
    '/opt/homebrew/bin/nats-server',
    unpacked,
  ]
  const found = places.find((path) => existsSync(path))
  if (found !== undefined) return found
  if (spawnSync('apt-get', ['--version']).status !== 0) throw new Error(help)
  mkdirSync(folder, { recursive: true })
  const download =
    'apt-get download -q nats-server && dpkg -x nats-server_*.deb . && rm nats-server_*.deb'
  spawnSync('sh', ['-c', download], { cwd: folder, stdio: 'ignore' })
  if (existsSync(unpacked)) return unpacked
  throw new Error(help)
}
