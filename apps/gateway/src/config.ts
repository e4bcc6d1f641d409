import { randomBytes } from 'node:crypto'
import { ModelName, Slug } from '@punica/schema'
import { z } from 'zod'

export const Config = z
  .object({
    NATS_URL: z.string().default('nats://127.0.0.1:4222'),
    /** A creds file; absent: the server asks for none. */
    NATS_CREDS: z.string().optional(),
    POOL: Slug.default('default'),
    HOST: z.string().default('127.0.0.1'),
    /** 0 picks a free one. */
    PORT: z.coerce.number().int().min(0).max(65_535).default(8000),
    /** Where tokenizer.json and the chat template are. */
    MODEL_FOLDER: z.string(),
    BASE_MODEL: ModelName,
    /** New at each start: what nodes still send to an earlier gateway is none of this one's. */
    GATEWAY_ID: Slug.default(() => `gw-${randomBytes(4).toString('hex')}`),
    /** Sequences under way; each choice of a request counts. */
    MAX_INFLIGHT: z.coerce.number().int().positive().default(4096),
    /** Connections over HTTP; more are closed as they come. */
    MAX_CONNECTIONS: z.coerce.number().int().positive().default(8192),
    /** A client has this long to send its headers, and this long for the whole request. */
    HEADERS_TIMEOUT_MS: z.coerce.number().int().positive().default(15_000),
    BODY_TIMEOUT_MS: z.coerce.number().int().positive().default(60_000),
    /** While no router leads the pool, a new request waits for one this long. */
    MAX_HOLD_MS: z.coerce.number().int().nonnegative().default(10_000),
    /** So many new requests wait for a router at once; more are refused as `overloaded`. */
    MAX_HELD: z.coerce.number().int().nonnegative().default(256),
    REQUEST_TIMEOUT_MS: z.coerce.number().int().positive().default(600_000),
    /** How long answers under way may go on after the signal to stop. */
    SHUTDOWN_GRACE_MS: z.coerce.number().int().nonnegative().default(20_000),
  })
  .transform((env) => ({
    natsUrl: env.NATS_URL,
    credentialsPath: env.NATS_CREDS,
    pool: env.POOL,
    host: env.HOST,
    port: env.PORT,
    modelFolder: env.MODEL_FOLDER,
    baseModel: env.BASE_MODEL,
    gatewayId: env.GATEWAY_ID,
    maxInFlight: env.MAX_INFLIGHT,
    maxConnections: env.MAX_CONNECTIONS,
    headersTimeoutMs: env.HEADERS_TIMEOUT_MS,
    bodyTimeoutMs: env.BODY_TIMEOUT_MS,
    maxHoldMs: env.MAX_HOLD_MS,
    maxHeld: env.MAX_HELD,
    requestTimeoutMs: env.REQUEST_TIMEOUT_MS,
    shutdownGraceMs: env.SHUTDOWN_GRACE_MS,
  }))
export type Config = z.output<typeof Config>
