import { randomBytes } from 'node:crypto'
import { ModelName, Slug } from '@punica/schema'
import { z } from 'zod'

export const Config = z
  .object({
    NATS_URL: z.string().min(1).default('nats://127.0.0.1:4222'),
    /** Path of a .creds file. */
    NATS_CREDS: z.string().min(1).optional(),
    POOL: Slug.default('default'),
    /** By which the lease names its holder. */
    ROUTER_ID: Slug.default(() => `router-${randomBytes(4).toString('hex')}`),
    /** A leader that has not renewed its lease for this long is replaced by a standby. */
    LEASE_MS: z.coerce.number().int().min(200).max(60_000).default(2_000),
    /** A new leader places nothing for this long: nodes and gateways first say what there is. */
    SETTLE_MS: z.coerce.number().int().nonnegative().max(60_000).default(400),
    /** Nodes with another base model get nothing; absent: what the first node of the pool serves. */
    BASE_MODEL: ModelName.optional(),
    /** A node or gateway that has said nothing for this long is lost. */
    HEARTBEAT_TIMEOUT_MS: z.coerce.number().int().min(100).default(3_000),
    /** New requests that may wait for a node; more are refused as `overloaded`. */
    MAX_QUEUE: z.coerce.number().int().positive().max(100_000).default(1_000),
    /** Of these, how many one tenant may have; absent: half. */
    MAX_QUEUE_PER_TENANT: z.coerce.number().int().positive().max(100_000).optional(),
    /** Time between two tokens that no placement may exceed by the cost model; absent: any. */
    TARGET_INTER_TOKEN_MS: z.coerce.number().positive().optional(),
    /**
     * Time between two tokens up to which requests are packed onto the fullest node; above it they go
     * to the node with the shortest step. Absent: the fullest always.
     */
    PACK_INTER_TOKEN_MS: z.coerce.number().positive().optional(),
    /** How often the lightest nodes are looked at, to be vacated; 0: never. */
    CONSOLIDATION_INTERVAL_MS: z.coerce.number().int().nonnegative().default(5_000),
    /** A request that has just been moved is not asked to move again for so long. */
    MIN_MOVE_INTERVAL_MS: z.coerce.number().int().nonnegative().default(30_000),
    /** No node has been lightly loaded for so long: another is asked for. */
    SCALE_UP_AFTER_MS: z.coerce.number().int().nonnegative().default(5_000),
    /** Nodes have had no load for so long: they may be released. */
    SCALE_DOWN_AFTER_MS: z.coerce.number().int().nonnegative().default(60_000),
    /**
     * Every event and decision of a term goes to a file in here, without token ids, for
     * `npm run -w bench replay`; absent: nothing is recorded.
     */
    RECORD_FOLDER: z.string().min(1).optional(),
    /** Of one such file; then the recording ends. */
    RECORD_MAX_BYTES: z.coerce
      .number()
      .int()
      .positive()
      .default(1024 ** 3),
  })
  .transform((env) => ({
    natsUrl: env.NATS_URL,
    natsCredentialsFile: env.NATS_CREDS,
    pool: env.POOL,
    routerId: env.ROUTER_ID,
    leaseMs: env.LEASE_MS,
    settleMs: env.SETTLE_MS,
    baseModel: env.BASE_MODEL ?? null,
    heartbeatTimeoutMs: env.HEARTBEAT_TIMEOUT_MS,
    maxQueue: env.MAX_QUEUE,
    maxQueuePerTenant: env.MAX_QUEUE_PER_TENANT ?? Math.ceil(env.MAX_QUEUE / 2),
    targetInterTokenMs: env.TARGET_INTER_TOKEN_MS ?? null,
    packInterTokenMs: env.PACK_INTER_TOKEN_MS ?? null,
    consolidationIntervalMs:
      env.CONSOLIDATION_INTERVAL_MS === 0 ? null : env.CONSOLIDATION_INTERVAL_MS,
    minMoveIntervalMs: env.MIN_MOVE_INTERVAL_MS,
    scaleUpAfterMs: env.SCALE_UP_AFTER_MS,
    scaleDownAfterMs: env.SCALE_DOWN_AFTER_MS,
    recordFolder: env.RECORD_FOLDER ?? null,
    recordMaxBytes: env.RECORD_MAX_BYTES,
  }))
export type Config = z.output<typeof Config>
