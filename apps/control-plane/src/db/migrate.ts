import { createHash, randomUUID } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import pg from 'pg'

/** The key of the advisory lock that Prisma Migrate takes. */
const migrateLock = 72_707_369

/** As Prisma Migrate creates it. */
const bookkeeping = `CREATE TABLE IF NOT EXISTS "_prisma_migrations" (
    "id"                    VARCHAR(36) PRIMARY KEY NOT NULL,
    "checksum"              VARCHAR(64) NOT NULL,
    "finished_at"           TIMESTAMPTZ,
    "migration_name"        VARCHAR(255) NOT NULL,
    "logs"                  TEXT,
    "rolled_back_at"        TIMESTAMPTZ,
    "started_at"            TIMESTAMPTZ NOT NULL DEFAULT now(),
    "applied_steps_count"   INTEGER NOT NULL DEFAULT 0
)`

const migrationsFolder = fileURLToPath(new URL('../../../../prisma/migrations', import.meta.url))

type Applied = {
  migration_name: string
  checksum: string
  finished_at: Date | null
  rolled_back_at: Date | null
}

/**
 * Applies the migrations that the database lacks and returns their names. It keeps Prisma
 * Migrate's own books under Prisma Migrate's lock, so that the CLI and any number of services may
 * migrate the same database, and production needs no CLI. Rejects where a migration failed before,
 * or was changed after it was applied.
 */
export const migrate = async (
  databaseUrl: string,
  folder = migrationsFolder,
): Promise<string[]> => {
  const client = new pg.Client({ connectionString: databaseUrl })
  await client.connect()
  try {
    // The lock belongs to the session: it goes when the connection does.
    await client.query('SELECT pg_advisory_lock($1)', [migrateLock])
    await client.query(bookkeeping)
    return await applyMissing(client, folder)
  } finally {
    await client.end()
  }
}

const applyMissing = async (client: pg.Client, folder: string): Promise<string[]> => {
  const { rows } = await client.query<Applied>('SELECT * FROM "_prisma_migrations"')
  const failed = rows.find((row) => row.finished_at === null && row.rolled_back_at === null)
  if (failed !== undefined) {
    throw new Error(
      `migration ${failed.migration_name} failed before; see \`prisma migrate resolve\``,
    )
  }
  const done = new Map(
    rows.filter((row) => row.rolled_back_at === null).map((row) => [row.migration_name, row]),
  )
  const applied: string[] = []
  const entries = await readdir(folder, { withFileTypes: true })
  for (const name of entries
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name)
    .sort()) {
    const sql = await readFile(join(folder, name, 'migration.sql'), 'utf8')
    const checksum = createHash('sha256').update(sql).digest('hex')
    const before = done.get(name)
    if (before !== undefined && before.checksum !== checksum) {
      throw new Error(`migration ${name} was changed after it was applied`)
    }
    if (before !== undefined) continue
    await apply(client, { name, sql, checksum })
    applied.push(name)
  }
  return applied
}

const apply = async (
  client: pg.Client,
  { name, sql, checksum }: { name: string; sql: string; checksum: string },
): Promise<void> => {
  const id = randomUUID()
  await client.query(
    'INSERT INTO "_prisma_migrations" ("id", "checksum", "migration_name") VALUES ($1, $2, $3)',
    [id, checksum, name],
  )
  try {
    // Several statements in one message are one transaction.
    await client.query(sql)
  } catch (cause) {
    await client.query('UPDATE "_prisma_migrations" SET "logs" = $2 WHERE "id" = $1', [
      id,
      String(cause),
    ])
    throw new Error(`migration ${name} failed`, { cause })
  }
  await client.query(
    'UPDATE "_prisma_migrations" SET "finished_at" = now(), "applied_steps_count" = 1 WHERE "id" = $1',
    [id],
  )
}
