import { NodeStatus } from '@punica/schema'
import type { Database, Transaction } from '../db/database.ts'
import type { NodeScheduling } from '../generated/prisma/client.ts'
import type { NodeChanges, NodeRow } from './inventory.ts'

/**
 * Writes what changed in two statements, however many nodes there are. What operators want of a node
 * is not among it: that is written where they say it.
 */
export const saveNodes = async (
  db: Transaction,
  { changed, removed }: NodeChanges,
): Promise<void> => {
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
      -- A lost node without a row is one that an operator removed by another control plane.
      WHERE "row"."state" <> 'LOST' OR "row"."id" IN (SELECT "id" FROM "gpu_node")
      ON CONFLICT ("id") DO UPDATE SET
        "pool" = excluded."pool", "state" = excluded."state",
        "last_seen_at" = excluded."last_seen_at", "status" = excluded."status"`
  }
  if (removed.length > 0) {
    // One that an operator has cordoned meanwhile stays.
    await db.gpuNode.deleteMany({ where: { id: { in: removed }, scheduling: 'OPEN' } })
  }
}

/** The nodes as they were last written. A row of an older release that does not parse is left out. */
export const loadNodes = async (db: Database): Promise<NodeRow[]> => {
  const rows = await db.gpuNode.findMany()
  return rows.flatMap(({ state, scheduling, lastSeenAt, status }) => {
    const parsed = NodeStatus.safeParse(status)
    return parsed.success ? [{ state, scheduling, lastSeenAt, status: parsed.data }] : []
  })
}

/** What operators want of each node that is written down. */
export const loadScheduling = async (
  db: Database,
): Promise<ReadonlyMap<string, NodeScheduling>> => {
  const rows = await db.gpuNode.findMany({ select: { id: true, scheduling: true } })
  return new Map(rows.map(({ id, scheduling }) => [id, scheduling]))
}
