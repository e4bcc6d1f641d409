import { constants } from 'node:fs'
import { open, realpath } from 'node:fs/promises'
import path from 'node:path'
import { AppError } from '@punica/schema'
import type { FileSource } from './import.ts'

/**
 * The files of a folder below one of `roots`, symbolic links followed first: what they lead out of
 * the roots is refused. Throws AppError `forbidden`, and `not_found` for a file that is not there.
 */
export const folderSource = async (
  roots: readonly string[],
  folder: string,
): Promise<FileSource> => {
  const real = await realpath(folder).catch(() => null)
  if (real === null || !path.isAbsolute(folder) || !(await isBelow(roots, real))) {
    throw outside(folder)
  }
  return {
    open: async (name) => {
      const file = await realpath(path.join(real, name)).catch(() => null)
      if (file === null) {
        throw new AppError('not_found', `folder: there is no ${name} in it`, { param: 'folder' })
      }
      if (!(await isBelow(roots, file))) throw outside(path.join(folder, name))
      // No link any more: one that was put there since is not followed.
      const handle = await open(file, constants.O_RDONLY | constants.O_NOFOLLOW)
      const stats = await handle.stat()
      if (stats.isFile()) {
        const body = handle.createReadStream()
        return { body, sizeBytes: stats.size, close: () => body.destroy() }
      }
      await handle.close()
      throw new AppError('invalid_request', `folder: ${name} is no file`, { param: 'folder' })
    },
  }
}

const isBelow = async (roots: readonly string[], real: string): Promise<boolean> => {
  for (const root of roots) {
    const realRoot = await realpath(root).catch(() => null)
    if (realRoot === null) continue
    const relative = path.relative(realRoot, real)
    if (relative !== '..' && !relative.startsWith(`..${path.sep}`)) return true
  }
  return false
}

/** The same for a folder that is not there: nothing outside of the roots can be probed for. */
const outside = (folder: string): AppError =>
  new AppError(
    'forbidden',
    `folder: ${folder} is not below a folder that IMPORT_ROOTS of the control plane allows`,
    { param: 'folder' },
  )
