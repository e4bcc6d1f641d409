import { z } from 'zod'
import { limits } from './limits.ts'
import { AdapterFile } from './messages.ts'
import { AliasName, Digest, ModelName, Slug } from './names.ts'

// The catalog: what may be served to whom, projected from Postgres into the NATS KV bucket
// `punica_catalog`. The data plane watches it and never asks a database.

const Version = z.strictObject({
  version: z.int().positive(),
  digest: Digest,
  rank: z.int().min(1).max(limits.maxRank),
  sizeBytes: z.int().nonnegative(),
  files: z.array(AdapterFile).min(1).max(2),
})

const Alias = z.strictObject({
  name: AliasName,
  /** By version; each takes its share of the requests to the alias. */
  targets: z
    .array(z.strictObject({ version: z.int().positive(), weight: z.number().gt(0).max(1) }))
    .min(1)
    .max(limits.maxAliasTargets),
})

export const TenantRecord = z.strictObject({
  slug: Slug,
  suspended: z.boolean(),
  /** Share among tenants when requests queue. */
  weight: z.number().positive(),
  /** null: no limit beside the pool's. */
  maxConcurrentRequests: z.int().positive().nullable(),
  maxTokensPerMinute: z.int().positive().nullable(),
})
export type TenantRecord = z.infer<typeof TenantRecord>

export const ApiKeyRecord = z.strictObject({
  /** The public part of the key, by which it is found. */
  prefix: z.string(),
  /** sha256 of the whole key, hex. The key has 256 random bits, so a slow hash adds nothing. */
  hash: Digest,
  tenant: Slug,
  scopes: z.array(z.enum(['generate', 'admin'])),
  expiresAtMs: z.int().nonnegative().nullable(),
})
export type ApiKeyRecord = z.infer<typeof ApiKeyRecord>

export const BaseModelRecord = z.strictObject({
  name: ModelName,
  pool: Slug,
  maxContext: z.int().positive(),
})
export type BaseModelRecord = z.infer<typeof BaseModelRecord>

export const AdapterRecord = z.strictObject({
  tenant: Slug,
  name: ModelName,
  baseModel: ModelName,
  createdAtMs: z.int().nonnegative(),
  /** Servable versions, oldest first: each by `name@version`, whatever the aliases say. */
  versions: z.array(Version).max(limits.maxVersions),
  /** By name; `default` is what the bare name stands for. */
  aliases: z.array(Alias).max(limits.maxAliases),
  /** Other tenants that may use it. */
  grants: z.array(Slug).max(4096),
})
export type AdapterRecord = z.infer<typeof AdapterRecord>

/** Limits of a pool, for its router. null: the router's own setting. */
export const PoolRecord = z.strictObject({
  name: Slug,
  baseModel: ModelName,
  /** The scheduler asks for no more nodes than these. */
  maxNodes: z.int().positive().nullable(),
  /** Time between two tokens that no placement may exceed. */
  interTokenTargetMs: z.number().positive().nullable(),
  /** Sequences of one step that a node gets at most. */
  maxBatchSize: z.int().positive().nullable(),
})
export type PoolRecord = z.infer<typeof PoolRecord>

/** What an operator wants of a node; one that may work as usual has no record. */
export const NodeRecord = z.strictObject({
  nodeId: Slug,
  pool: Slug,
  /** `cordoned`: it gets nothing new. `drained`: and what it runs moves away. */
  scheduling: z.enum(['cordoned', 'drained']),
})
export type NodeRecord = z.infer<typeof NodeRecord>

/** A kind of record in a KV bucket: its key prefix and its schema. */
export type RecordKind<T> = {
  readonly bucket: string
  readonly prefix: string
  readonly schema: z.ZodType<T>
}

const kind = <T>(prefix: string, schema: z.ZodType<T>): RecordKind<T> => ({
  bucket: 'punica_catalog',
  prefix,
  schema,
})

export const tenantRecords = kind('tenant', TenantRecord) //        key: slug
export const apiKeyRecords = kind('key', ApiKeyRecord) //           key: prefix
export const baseModelRecords = kind('base', BaseModelRecord) //    key: name
export const adapterRecords = kind('adapter', AdapterRecord) //     key: tenant.name
export const poolRecords = kind('pool', PoolRecord) //              key: name
export const nodeRecords = kind('node', NodeRecord) //              key: node id

/**
 * Who leads a pool. The holder writes it again and again; whoever sees no write for the length of
 * the lease may take it over. Later versions may add fields, and earlier ones must still read it.
 */
export const LeaderRecord = z.object({
  /** The process that leads; null: it has stopped, and the next may begin at once. */
  holder: z.string().max(64).nullable(),
  /** Greater at each take-over, so that what an earlier leader still says can be told apart. */
  epoch: z.int().positive(),
})
export type LeaderRecord = z.infer<typeof LeaderRecord>

export const leaseBucket = 'punica_leases'
export const leaderRecords: RecordKind<LeaderRecord> = {
  bucket: leaseBucket,
  prefix: 'leader', //                                             key: pool
  schema: LeaderRecord,
}

export const catalogBucket = 'punica_catalog'
export const usageStream = 'PUNICA_USAGE'
export const objectBucket = 'punica_objects'

/**
 * What the object bucket says of one object, in the layout that the NATS tools read too (NATS
 * ADR-20). Our objects are named by their digest.
 */
export const ObjectInfo = z.object({
  name: z.string(),
  bucket: z.string(),
  /** The chunks are on `$O.<bucket>.C.<nuid>`. */
  nuid: z.string(),
  size: z.int().nonnegative(),
  chunks: z.int().nonnegative(),
  digest: z.string(),
  mtime: z.string().optional(),
  deleted: z.boolean().optional(),
})
export type ObjectInfo = z.infer<typeof ObjectInfo>
