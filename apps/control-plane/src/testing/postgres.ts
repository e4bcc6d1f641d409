import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startPostgres as startEmbedded } from '@punica/embedded'

export type TestPostgres = {
  /** Of an empty database. */
  url: string
  /** Ends the server and removes its files. */
  stop(): Promise<void>
}

/**
 * A real Postgres of its own for a test: free port, temporary folder, no fsync. `binaries` names the
 * folder of another one than the embedded.
 */
export const startPostgres = async (binaries?: string): Promise<TestPostgres> => {
  const folder = await mkdtemp(join(tmpdir(), 'punica-postgres-'))
  const server = await startEmbedded({ folder, binaries, durable: false })
  return {
    url: server.url,
    stop: async () => {
      await server.stop()
      await rm(folder, { recursive: true, force: true })
    },
  }
}
