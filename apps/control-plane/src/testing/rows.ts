import type { Database } from '../db/database.ts'

/** Adapters `adapter-0`, `adapter-1`, ... of two versions, each granted to its own tenant too. */
export const addAdapters = async (db: Database, slug: string, count: number): Promise<void> => {
  const { id: tenantId } = await db.tenant.findUniqueOrThrow({ where: { slug } })
  for (let i = 0; i < count; i++) {
    const version = { digest: 'a'.repeat(64), rank: 8, numTensors: 1, sizeBytes: 1 }
    await db.adapter.create({
      data: {
        tenantId,
        name: `adapter-${i}`,
        baseModelName: 'demo',
        versions: { create: [1, 2].map((n) => ({ ...version, version: n })) },
        grants: { create: { tenantId } },
      },
    })
  }
}
