import { execFile } from 'node:child_process'
import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import pg from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startPostgres, type TestPostgres } from '../testing/postgres.ts'
import { migrate } from './migrate.ts'

const root = fileURLToPath(new URL('../../../..', import.meta.url))

let postgres: TestPostgres
beforeAll(async () => {
  postgres = await startPostgres()
})
afterAll(() => postgres.stop())

const query = async (sql: string, database = 'postgres'): Promise<pg.QueryResult> => {
  const client = new pg.Client({ connectionString: urlOf(database) })
  await client.connect()
  try {
    return await client.query(sql)
  } finally {
    await client.end()
  }
}
const urlOf = (database: string): string => postgres.url.replace(/\/postgres$/, `/${database}`)

test('any number of services that start at once migrate once', async () => {
  const applied = await Promise.all([migrate(postgres.url), migrate(postgres.url)])
  expect(applied.flat().length).toBeGreaterThan(0)
  expect(new Set(applied.flat()).size).toBe(applied.flat().length)
  expect(await migrate(postgres.url)).toEqual([])
  expect((await query('SELECT count(*)::int AS n FROM "tenant"')).rows).toEqual([{ n: 0 }])
})

test('the CLI finds the database as it left it itself', { timeout: 60_000 }, async () => {
  const cli = join(root, 'node_modules/prisma/build/index.js')
  const env = {
    PATH: '/usr/bin:/bin',
    HOME: tmpdir(),
    DATABASE_URL: postgres.url,
    CHECKPOINT_DISABLE: '1',
  }
  const { stdout } = await promisify(execFile)(process.execPath, [cli, 'migrate', 'status'], {
    cwd: root,
    env,
  })
  expect(stdout).toContain('Database schema is up to date')
})

test('a migration that fails leaves nothing and is not tried again', async () => {
  await query('CREATE DATABASE failing')
  const folder = await mkdtemp(join(tmpdir(), 'punica-migrations-'))
  try {
    await mkdir(join(folder, '1_broken'))
    await writeFile(join(folder, '1_broken/migration.sql'), 'CREATE TABLE a (); SELECT 1/0;')
    await expect(migrate(urlOf('failing'), folder)).rejects.toThrow('migration 1_broken failed')
    expect((await query("SELECT to_regclass('a') AS a", 'failing')).rows).toEqual([{ a: null }])
    await expect(migrate(urlOf('failing'), folder)).rejects.toThrow('1_broken failed before')
  } finally {
    await rm(folder, { recursive: true })
  }
})

test('a migration that was changed after it was applied is noticed', async () => {
  await query('CREATE DATABASE changed')
  const folder = await mkdtemp(join(tmpdir(), 'punica-migrations-'))
  try {
    await cp(join(root, 'prisma/migrations'), folder, { recursive: true })
    const [name = ''] = await migrate(urlOf('changed'), folder)
    await writeFile(join(folder, name, 'migration.sql'), 'SELECT 1')
    await expect(migrate(urlOf('changed'), folder)).rejects.toThrow(`${name} was changed after`)
  } finally {
    await rm(folder, { recursive: true })
  }
})
