import DataLoader from 'dataloader'
import type { Database } from '../db/database.ts'
import { allRevisions, newestRevision } from './alias-rows.ts'

/** What lists of adapters and uploads look up, gathered like the rest (server/loaders.ts). */
export const createAdapterLoaders = (db: Database) => ({
  aliasesOfAdapter: new DataLoader((ids: readonly string[]) => findAliases(db, ids)),
  revisionsOfAlias: new DataLoader((ids: readonly string[]) => findRevisions(db, ids)),
  adapter: new DataLoader((ids: readonly string[]) => findAdapters(db, ids)),
  version: new DataLoader((ids: readonly string[]) => findVersions(db, ids)),
  // A subscription lives on while its upload grows, so nothing of that is remembered.
  filesOfUpload: new DataLoader((ids: readonly string[]) => findFiles(db, ids), { cache: false }),
})

export type AliasWithTargets = Awaited<ReturnType<typeof findAliases>>[number][number]

const listOf = (ids: readonly string[]) => ({ in: [...ids] })

/** `default` first, then by name. */
const findAliases = async (db: Database, ids: readonly string[]) => {
  const rows = await db.adapterAlias.findMany({
    where: { adapterId: listOf(ids) },
    include: newestRevision,
    orderBy: { name: 'asc' },
  })
  const rank = ({ name }: { name: string }): number => (name === 'default' ? 0 : 1)
  rows.sort((a, b) => rank(a) - rank(b))
  return ids.map((id) => rows.filter(({ adapterId }) => adapterId === id))
}

const findRevisions = async (db: Database, ids: readonly string[]) => {
  const rows = await db.adapterAlias.findMany({
    where: { id: listOf(ids) },
    include: allRevisions,
  })
  const byId = new Map(rows.map(({ id, revisions }) => [id, revisions]))
  return ids.map((id) => byId.get(id) ?? [])
}

const findAdapters = async (db: Database, ids: readonly string[]) => {
  const rows = await db.adapter.findMany({ where: { id: listOf(ids) } })
  const byId = new Map(rows.map((row) => [row.id, row]))
  return ids.map((id) => byId.get(id) ?? new Error(`no adapter ${id}`))
}

const findVersions = async (db: Database, ids: readonly string[]) => {
  const rows = await db.adapterVersion.findMany({ where: { id: listOf(ids) } })
  const byId = new Map(rows.map((row) => [row.id, row]))
  return ids.map((id) => byId.get(id) ?? new Error(`no version ${id}`))
}

const findFiles = async (db: Database, ids: readonly string[]) => {
  const where = { uploadId: listOf(ids) }
  const whole = await db.uploadedFile.findMany({ where })
  const incoming = await db.incomingFile.findMany({ where })
  return ids.map((id) => ({
    whole: whole.filter(({ uploadId }) => uploadId === id),
    incoming: incoming.filter(({ uploadId }) => uploadId === id),
  }))
}
