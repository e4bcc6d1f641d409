import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'

/** A new data folder. As root, Postgres' own user must be able to enter it, or its data lie elsewhere. */
export const makeDataFolder = async (): Promise<string> => {
  const folder = await mkdtemp(path.join(tmpdir(), 'punica-e2e-'))
  await chmod(folder, 0o711)
  return folder
}

export const removeDataFolder = (folder: string): Promise<void> =>
  rm(folder, { recursive: true, force: true })
