import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'

/** Where Debian and others put the servers, a folder for each major version. */
const versionsFolder = '/usr/lib/postgresql'

/** The folder of initdb and postgres of the newest Postgres of this system; null where there is none. */
export const findSystemPostgres = (): string | null => {
  if (!existsSync(versionsFolder)) return null
  const folders = readdirSync(versionsFolder)
    .sort((a, b) => Number(b) - Number(a))
    .map((version) => join(versionsFolder, version, 'bin'))
  return folders.find((folder) => existsSync(join(folder, 'initdb'))) ?? null
}
