import { ModelName, Slug } from '@punica/schema'
import { z } from 'zod'

export const Config = z
  .object({
    NATS_URL: z.string().min(1).default('nats://127.0.0.1:4222'),
    /** Path of a .creds file. */
    NATS_CREDS: z.string().min(1).optional(),
    POOL: Slug.default('default'),
    /** Nodes with another base model get nothing; absent: what the first node of the pool serves. */
    BASE_MODEL: ModelName.optional(),
    /** A node or gateway that has said nothing for this long is lost. */
    HEARTBEAT_TIMEOUT_MS: z.coerce.number().int().min(100).default(3_000),
    /** New requests that may wait for a node; more are refused as `overloaded`. */
    MAX_QUEUE: z.coerce.number().int().positive().max(100_000).default(1_000),
  })
  .transform((env) => ({
    natsUrl: env.NATS_URL,
    natsCredentialsFile: env.NATS_CREDS,
    pool: env.POOL,
    baseModel: env.BASE_MODEL ?? null,
    heartbeatTimeoutMs: env.HEARTBEAT_TIMEOUT_MS,
    maxQueue: env.MAX_QUEUE,
  }))
export type Config = z.output<typeof Config>
