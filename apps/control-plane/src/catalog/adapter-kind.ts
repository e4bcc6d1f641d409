import { AdapterRecord, adapterRecords } from '@punica/schema'
import type { CatalogKind } from './kinds.ts'

/** A slug has no dot, so the first one ends it. */
export const adapterKey = (tenant: string, name: string): string => `${tenant}.${name}`

export const adapters: CatalogKind<AdapterRecord> = {
  kind: adapterRecords,
  /** In one text: a hundred thousand rows would hold up the event loop for a second. */
  listKeys: async (db) => {
    const [row] = await db.$queryRaw<{ keys: string | null }[]>`
      SELECT string_agg("slug" || '.' || "adapter"."name", E'\\n') AS "keys"
      FROM "adapter" JOIN "tenant" ON "tenant"."id" = "tenant_id" WHERE "archived_at" IS NULL`
    return row?.keys?.split('\n') ?? []
  },

  /** The database puts each record together: a catalog may be compared that has very many. */
  read: async (db, keys) => {
    const dots = keys.map((key) => key.indexOf('.'))
    const slugs = keys.map((key, i) => key.slice(0, dots[i]))
    const names = keys.map((key, i) => key.slice((dots[i] ?? 0) + 1))
    const rows = await db.$queryRaw<{ record: unknown }[]>`
      SELECT json_build_object(
        'tenant', "tenant"."slug", 'name', "adapter"."name", 'baseModel', "base_model_name",
        'createdAtMs', (extract(epoch FROM "adapter"."created_at") * 1000)::bigint,
        'versions', (
          SELECT coalesce(json_agg(json_build_object(
            'version', "version", 'digest', "digest", 'rank', "rank", 'sizeBytes', "size_bytes",
            'files', (
              SELECT json_agg(
                json_build_object('name', "name", 'digest', "digest", 'sizeBytes', "size_bytes")
                ORDER BY "name")
              FROM "adapter_file" WHERE "version_id" = "adapter_version"."id"
            )) ORDER BY "version"), '[]')
          FROM "adapter_version"
          WHERE "adapter_id" = "adapter"."id" AND "archived_at" IS NULL
        ),
        'aliases', (
          SELECT coalesce(json_agg(json_build_object('name', "name", 'targets', (
            SELECT json_agg(json_build_object('version', "version", 'weight', "weight") ORDER BY "version")
            FROM "alias_target" JOIN "adapter_version" ON "adapter_version"."id" = "version_id"
            WHERE "alias_id" = "adapter_alias"."id"
              AND "alias_target"."revision" = "adapter_alias"."revision"
          )) ORDER BY "name"), '[]')
          FROM "adapter_alias" WHERE "adapter_id" = "adapter"."id"
        ),
        'grants', (
          SELECT coalesce(json_agg("guest"."slug" ORDER BY "guest"."slug" COLLATE "C"), '[]')
          FROM "adapter_grant" JOIN "tenant" AS "guest" ON "guest"."id" = "adapter_grant"."tenant_id"
          WHERE "adapter_id" = "adapter"."id"
        )
      ) AS "record"
      FROM unnest(${slugs}::text[], ${names}::text[]) AS "key"("slug", "name")
      JOIN "tenant" ON "tenant"."slug" = "key"."slug"
      JOIN "adapter" ON "adapter"."tenant_id" = "tenant"."id" AND "adapter"."name" = "key"."name"
      WHERE "archived_at" IS NULL`
    const records = rows.map(({ record }) => AdapterRecord.parse(record))
    return new Map(records.map((record) => [adapterKey(record.tenant, record.name), record]))
  },
}
