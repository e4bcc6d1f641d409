import { z } from 'zod'
import { Digest, RequestId, Slug } from './names.ts'

const Count = z.int().nonnegative()
const NumBytes = z.int().nonnegative()

export const NodeState = z.enum(['starting', 'ready', 'draining', 'failed'])
export type NodeState = z.infer<typeof NodeState>

export const NodeHardware = z.strictObject({
  backend: z.enum(['cpu', 'cuda']),
  description: z.string().max(512),
  memoryBytes: NumBytes,
  // What a step costs there, for the scheduler's model; absent: unknown, and the model is not used.
  /** Weights that every step reads. */
  weightBytes: NumBytes.optional(),
  kvBytesPerToken: NumBytes.optional(),
  /** Read rate of the device's memory as measured, rather than as advertised. */
  bandwidthBytesPerSecond: z.number().positive().optional(),
  /** Of a step whatever it holds: launches, sampling, the way to the host. */
  stepOverheadMs: z.number().nonnegative().optional(),
  /** Of each sequence in a step. */
  rowOverheadMs: z.number().nonnegative().optional(),
})
export type NodeHardware = z.infer<typeof NodeHardware>

/** Where an adapter's bytes are on a node, best tier first. */
export const AdapterTier = z.enum(['device', 'host', 'disk'])
export type AdapterTier = z.infer<typeof AdapterTier>

/** What a node says of itself, several times a second. */
export const NodeStatus = z.strictObject({
  nodeId: Slug,
  pool: Slug,
  /** New at each start of the process: a node that restarted runs nothing of what it ran. */
  incarnation: z.string().max(64),
  /** The newest leader that it knows of; 0: none yet. What an older one ordered is in no later status. */
  epoch: Count.optional(),
  state: NodeState,
  /** Why, where the state is `failed`. */
  reason: z.string().max(1024).optional(),
  timeMs: Count,
  baseModel: z.string().max(128),
  hardware: NodeHardware,
  maxBatchSize: z.int().positive(),
  maxContext: z.int().positive(),
  pageSize: z.int().positive(),
  pageBytes: z.int().positive(),
  /** Slots of the pool that KV pages and adapters share. */
  numPages: Count,
  /**
   * Free, or held by nothing that a request needs (cached prefixes, idle adapters). What `requests`
   * will need for the tokens they have now is taken off, prefilled or not.
   */
  freePages: Count,
  kvPages: Count,
  adapterPages: Count,
  /** Every request assigned and not ended, waiting for its adapter or running. */
  requests: z
    .array(
      z.strictObject({
        requestId: RequestId,
        attempt: Count,
        /** From this a router that has just started learns whom to tell if the node is lost. */
        gatewayId: Slug.optional(),
        // From these it takes over the rest of what its predecessor knew.
        tenant: Slug.optional(),
        adapterDigest: Digest.nullable().optional(),
        /** Prompt and what has been generated of it over all attempts. */
        numTokens: Count.optional(),
        /** What `numTokens` may become. */
        maxTokens: Count.optional(),
      }),
    )
    .max(4096),
  adapters: z
    .array(
      z.strictObject({ digest: Digest, tier: AdapterTier, sizeBytes: NumBytes, requests: Count }),
    )
    .max(4096),
  /** Since the start of the process. */
  counters: z.strictObject({
    steps: Count,
    promptTokens: Count,
    generatedTokens: Count,
    /** Most distinct adapters that one step has held. */
    maxAdaptersInBatch: Count,
    /** Adapters in the newest step. */
    adaptersInBatch: Count,
    /** Sequences in the newest step. */
    batchSize: Count,
    stepMs: z.number().nonnegative(),
  }),
})
export type NodeStatus = z.infer<typeof NodeStatus>
