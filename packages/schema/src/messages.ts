import { z } from 'zod'
import { WireError } from './errors.ts'
import { limits } from './limits.ts'
import { Digest, RequestId, Slug } from './names.ts'
import { NodeStatus } from './node-status.ts'

// What the processes behind the gateway say to each other. Text never crosses these messages: the
// gateway tokenises, so everything behind it is numbers. channels.ts says who sends what to whom.

const TokenId = z.int().nonnegative()
const TimeMs = z.int().nonnegative()
const Count = z.int().nonnegative()
const NumBytes = z.int().nonnegative()

/** The engine's sampling parameters; absent means the engine's default. */
export const Sampling = z.strictObject({
  temperature: z.number().min(0).max(2).optional(),
  topK: z.int().min(0).optional(),
  topP: z.number().gt(0).max(1).optional(),
  minP: z.number().min(0).max(1).optional(),
  repetitionPenalty: z.number().gt(0).max(2).optional(),
  presencePenalty: z.number().min(-2).max(2).optional(),
  frequencyPenalty: z.number().min(-2).max(2).optional(),
  logitBias: z
    .array(z.tuple([TokenId, z.number().min(-100).max(100)]))
    .max(limits.maxLogitBias)
    .optional(),
  numLogprobs: z.int().min(0).max(limits.maxLogprobs).optional(),
  seed: z.int().nonnegative(),
})
export type Sampling = z.infer<typeof Sampling>

/** The files of an adapter in the object store; the adapter's own digest covers their digests. */
export const AdapterFile = z.strictObject({
  name: z.enum(['adapter_config.json', 'adapter_model.safetensors']),
  digest: Digest,
  sizeBytes: NumBytes,
})
export type AdapterFile = z.infer<typeof AdapterFile>

/** All that the scheduler and a node need to know of an adapter version. */
export const AdapterRef = z.strictObject({
  digest: Digest,
  rank: z.int().min(1).max(limits.maxRank),
  sizeBytes: NumBytes,
  files: z.array(AdapterFile).min(1).max(2),
})
export type AdapterRef = z.infer<typeof AdapterRef>

/**
 * One sequence to generate. After a move its gateway submits it again with the tokens received so
 * far and the original arrival time; nothing else changes but `attempt`.
 */
export const Task = z.strictObject({
  requestId: RequestId,
  /** 0 at first, one more after each move. Messages about an older attempt are ignored. */
  attempt: Count,
  gatewayId: Slug,
  tenant: Slug,
  /** null: the base model alone. */
  adapter: AdapterRef.nullable(),
  /** Prompt, then what was generated before the move. */
  tokens: z.array(TokenId).min(1),
  numPromptTokens: z.int().positive(),
  /** Counted from the end of the prompt. */
  maxNewTokens: z.int().positive(),
  stopTokens: z.array(TokenId).max(16),
  ignoreEos: z.boolean(),
  /** What the answer's bytes must be, as the engine's program; absent: anything. */
  grammar: z
    .array(z.int().nonnegative())
    .min(3)
    .max(3 * limits.grammarInstructions)
    .optional(),
  sampling: Sampling,
  arrivalMs: TimeMs,
  deadlineMs: TimeMs,
  /** A router that has been replaced had taken it: it is not refused for want of room or quota. */
  wasQueued: z.boolean().optional(),
})
export type Task = z.infer<typeof Task>

export const SubmitReply = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('queued') }),
  /** It has just stopped leading the pool: as if nobody had answered. */
  z.strictObject({ type: z.literal('not_leading') }),
  z.strictObject({ type: z.literal('refused'), error: WireError }),
])
export type SubmitReply = z.infer<typeof SubmitReply>

/** A client went away, a stop string was met, or the deadline has passed. */
export const CancelRequest = z.strictObject({ requestId: RequestId, gatewayId: Slug })
export type CancelRequest = z.infer<typeof CancelRequest>

/** Nodes and gateways refuse an epoch older than the newest they know: that leader was replaced. */
const epoch = z.int().nonnegative()

export const AssignRequest = z.strictObject({ epoch, task: Task })
export type AssignRequest = z.infer<typeof AssignRequest>

export const AssignReply = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('accepted') }),
  z.strictObject({ type: z.literal('refused'), error: WireError }),
])
export type AssignReply = z.infer<typeof AssignReply>

export const NodeCommand = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('cancel'), epoch, requestId: RequestId, attempt: Count }),
  z.strictObject({ type: z.literal('evict'), epoch, requestId: RequestId, attempt: Count }),
])
export type NodeCommand = z.infer<typeof NodeCommand>

/** Asks a node to try an adapter beside the base model, before anybody may use it. */
export const ProbeRequest = z.strictObject({ adapter: AdapterRef })
export type ProbeRequest = z.infer<typeof ProbeRequest>

/** How an adapter's answers to the node's own prompts differ from the base model's. */
export const ProbeReport = z.strictObject({
  /** The largest difference of a token's log-probability. */
  maxLogprobChange: z.number().nonnegative(),
  /** Of `numTokens` generated greedily. */
  changedTokens: Count,
  numTokens: z.int().positive(),
})
export type ProbeReport = z.infer<typeof ProbeReport>

export const ProbeReply = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('passed'), report: ProbeReport }),
  /** `adapter_invalid`: it changes nothing, or its output is not finite. Else: not tried here. */
  z.strictObject({ type: z.literal('refused'), error: WireError }),
])
export type ProbeReply = z.infer<typeof ProbeReply>

export const EndReason = z.enum(['stop', 'length', 'cancelled', 'evicted', 'error'])
export type EndReason = z.infer<typeof EndReason>

/** What nodes tell the router. */
export const NodeEvent = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('status'), status: NodeStatus }),
  z.strictObject({
    type: z.literal('ended'),
    nodeId: Slug,
    requestId: RequestId,
    attempt: Count,
    reason: EndReason,
    /** For `evicted`: no KV page was left. */
    byPressure: z.boolean(),
  }),
  /** A clean stop: everything it ran has been evicted. */
  z.strictObject({ type: z.literal('leaving'), nodeId: Slug }),
])
export type NodeEvent = z.infer<typeof NodeEvent>

export const TokenLogprobs = z.strictObject({
  logprob: z.number(),
  top: z.array(z.strictObject({ token: TokenId, logprob: z.number() })).max(limits.maxLogprobs),
})
export type TokenLogprobs = z.infer<typeof TokenLogprobs>

/**
 * What one step made for the requests of one gateway. `seq` counts the batches from this node
 * (this incarnation) to this gateway, from 1, so that a gap is seen; a batch without tokens or
 * ends is a heartbeat that carries the newest `seq` and is not itself numbered.
 */
export const TokenBatch = z.strictObject({
  nodeId: Slug,
  incarnation: z.string().max(64),
  seq: Count,
  /** Of the step: all gateways' sequences and distinct adapters. */
  batchSize: Count,
  numAdapters: Count,
  tokens: z.array(
    z.strictObject({
      requestId: RequestId,
      attempt: Count,
      /** 0-based among the generated tokens of the request, over all attempts. */
      index: Count,
      token: TokenId,
      logprobs: TokenLogprobs.optional(),
    }),
  ),
  ends: z.array(
    z.strictObject({
      requestId: RequestId,
      attempt: Count,
      reason: EndReason,
      /** Generated tokens over all attempts: the stream is complete when it has this many. */
      numTokens: Count,
      error: WireError.optional(),
    }),
  ),
})
export type TokenBatch = z.infer<typeof TokenBatch>

/** Asks a node for batches that did not arrive. */
export const ReplayRequest = z.strictObject({
  gatewayId: Slug,
  incarnation: z.string().max(64),
  fromSeq: Count,
  toSeq: Count,
})
export type ReplayRequest = z.infer<typeof ReplayRequest>

export const ReplayReply = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('batches'), batches: z.array(TokenBatch) }),
  /** No longer kept: the gateway takes what it misses as interrupted. */
  z.strictObject({ type: z.literal('gone') }),
])
export type ReplayReply = z.infer<typeof ReplayReply>

/** What the router tells a gateway of its requests. */
export const GatewayEvent = z.discriminatedUnion('type', [
  /** Its node is lost: submit it again from the last token received. */
  z.strictObject({ type: z.literal('interrupted'), epoch, requestId: RequestId, attempt: Count }),
  z.strictObject({
    type: z.literal('rejected'),
    epoch,
    requestId: RequestId,
    attempt: Count,
    error: WireError,
  }),
])
export type GatewayEvent = z.infer<typeof GatewayEvent>

/** A gateway's sign of life; the requests of a gateway that is lost are cancelled. */
export const GatewayStatus = z.strictObject({
  gatewayId: Slug,
  requests: Count,
  leaving: z.boolean(),
})
export type GatewayStatus = z.infer<typeof GatewayStatus>

/** What an operator asks of a pool's router. Each may be repeated. */
export const PoolCommand = z.discriminatedUnion('type', [
  /** The node gets nothing new; what it runs stays. */
  z.strictObject({ type: z.literal('cordon'), nodeId: Slug }),
  /** As cordon, and what it runs moves to other nodes as they have room. */
  z.strictObject({ type: z.literal('drain'), nodeId: Slug }),
  z.strictObject({ type: z.literal('uncordon'), nodeId: Slug }),
])
export type PoolCommand = z.infer<typeof PoolCommand>

/** One decision of the scheduler, in words and numbers. */
export const Decision = z.strictObject({
  seq: Count,
  timeMs: TimeMs,
  pool: Slug,
  kind: z.enum([
    'place',
    'queue',
    'evict',
    'move',
    'refuse',
    'cancel',
    'interrupt',
    'scale',
    'cordon',
    'drain',
    'uncordon',
  ]),
  requestId: RequestId.optional(),
  tenant: Slug.optional(),
  nodeId: Slug.optional(),
  /** Of `scale`: how many nodes the pool should have. */
  wanted: Count.optional(),
  reason: z.string().max(256),
})
export type Decision = z.infer<typeof Decision>
