import { createHash } from 'node:crypto'
import { mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import path from 'node:path'
import { environment } from '../environment.ts'

/** An upload lasts an hour; its record is kept no longer than this. */
const maxAgeMs = 24 * 3600_000

/** What names a push: the same push goes on with its own upload, and no other does. */
type Push = { url: string; tenant: string; name: string; baseModel: string; folder: string }

export type LeftUpload = {
  /** Id of the upload that an interrupted push left; null: none. */
  read(): Promise<string | null>
  write(uploadId: string): Promise<void>
  remove(): Promise<void>
}

/**
 * The record of one push in the user's state folder ($XDG_STATE_HOME). It is kept here and not asked
 * of the server, whose open uploads may be those of somebody else who pushes the same name.
 */
export const leftUpload = (push: Push): LeftUpload => {
  const { XDG_STATE_HOME } = environment
  const state = XDG_STATE_HOME || path.join(homedir(), '.local/state')
  const folder = path.join(state, 'punica/uploads')
  const identity = [push.url, push.tenant, push.name, push.baseModel, path.resolve(push.folder)]
  const file = path.join(folder, createHash('sha256').update(identity.join('\n')).digest('hex'))
  return {
    read: () =>
      readFile(file, 'utf8').then(
        (text) => text.trim(),
        () => null,
      ),
    write: async (uploadId) => {
      await mkdir(folder, { recursive: true, mode: 0o700 })
      await removeOld(folder)
      await writeFile(file, `${uploadId}\n`, { mode: 0o600 })
    },
    remove: () => rm(file, { force: true }),
  }
}

const removeOld = async (folder: string): Promise<void> => {
  for (const name of await readdir(folder)) {
    const file = path.join(folder, name)
    const found = await stat(file).catch(() => null)
    if (found !== null && Date.now() - found.mtimeMs > maxAgeMs) await rm(file, { force: true })
  }
}
