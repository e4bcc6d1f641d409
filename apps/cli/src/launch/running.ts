import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { z } from 'zod'

/** Files of a data folder. */
export const lockName = 'lock'
export const runningName = 'running.json'
export const secretsName = 'secrets.json'

/** Where a running system is. */
const Running = z.strictObject({
  gatewayUrl: z.url(),
  controlPlaneUrl: z.url(),
  natsUrl: z.url(),
  baseModel: z.string(),
})
export type Running = z.infer<typeof Running>

const Secrets = z.object({ operatorKey: z.string() })

/**
 * Where the system on this folder is, and its operator's key; null where none runs. Throws where
 * the folder is somebody else's.
 */
export const findRunning = async (
  folder: string,
): Promise<(Running & { operatorKey: string }) | null> => {
  const read = (name: string): Promise<string> => readFile(path.join(folder, name), 'utf8')
  const file = path.join(folder, runningName)
  if (!existsSync(file) || !existsSync(path.join(folder, lockName))) return null
  if (!isAlive(Number(await read(lockName)))) return null
  const { operatorKey } = Secrets.parse(JSON.parse(await read(secretsName)))
  return { ...Running.parse(JSON.parse(await read(runningName))), operatorKey }
}

/** Whether there is a process of that id other than this one. */
export const isAlive = (pid: number): boolean => {
  if (!Number.isInteger(pid) || pid <= 0 || pid === process.pid) return false
  try {
    process.kill(pid, 0)
    return true
  } catch (err) {
    return err instanceof Error && 'code' in err && err.code === 'EPERM'
  }
}
