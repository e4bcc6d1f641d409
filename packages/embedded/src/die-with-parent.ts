import { accessSync, constants } from 'node:fs'

/**
 * A command line whose process the kernel ends together with this one, where the system can do
 * that (Linux with util-linux). A launcher that is killed then leaves no server behind.
 */
export const dieWithParent = (command: string, args: readonly string[]): [string, string[]] => {
  const setpriv = ['/usr/bin/setpriv', '/bin/setpriv'].find(isExecutable)
  return process.platform === 'linux' && setpriv !== undefined
    ? [setpriv, ['--pdeathsig', 'TERM', command, ...args]]
    : [command, [...args]]
}

const isExecutable = (path: string): boolean => {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}
