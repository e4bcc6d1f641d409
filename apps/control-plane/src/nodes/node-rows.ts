import { NodeStatus } from '@punica/schema'
import type { Database } from '../db/database.ts'
import type { NodeChanges, NodeView } from './inventory.ts'

/** Writes what changed in two statements, however many nodes there are. */
export const saveNodes = async (db: Database, { changed, removed }: NodeChanges): Promise<void> => {
  if (changed.length > 0) {
    const rows = changed.map(({ state, lastSeenAt, status }) => ({
      id: status.nodeId,
      pool: status.pool,
      state,
      last_seen_at: lastSeenAt,
      // What it runs and holds says nothing once the node is not heard of any more.
      status: { ...status, requests: [], adapters: [] },
    }))
    await db.$executeRaw`
      INSERT INTO "gpu_node" ("id", "pool", "state", "last_seen_at", "status")
      SELECT "id", "pool", "state", "last_seen_at", "status"
      FROM jsonb_to_recordset(${JSON.stringify(rows)}::jsonb)
        AS "row"("id" text, "pool" text, "state" "node_state", "last_seen_at" timestamptz, "status" jsonb)
      ON CONFLICT ("id") DO UPDATE SET
        "pool" = excluded."pool", "state" = excluded."state",
        "last_seen_at" = excluded."last_seen_at", "status" = excluded."status"`
  }
  if (removed.length > 0) await db.gpuNode.deleteMany({ where: { id: { in: removed } } })
}

/** The nodes as they were last written. A row of an older release that does not parse is left out. */
export const loadNodes = async (db: Database): Promise<NodeView[]> => {
  const rows = await db.gpuNode.findMany()
  return rows.flatMap(({ state, lastSeenAt, status }) => {
    const parsed = NodeStatus.safeParse(status)
    return parsed.success ? [{ state, lastSeenAt, status: parsed.data }] : []
  })
}
