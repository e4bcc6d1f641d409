import { z } from 'zod'
import { Digest, RequestId, Slug } from './names.ts'

// What gateways tell the control plane of what was used.

const TimeMs = z.int().nonnegative()
const Count = z.int().nonnegative()

/**
 * What a call has to be paid for so far. Events of a call are cumulative: the largest says it all,
 * so that one that comes twice, late or not at all does no harm.
 */
export const UsageEvent = z.strictObject({
  /** Of the call: its choices are one account, as in the `usage` of its answer. */
  requestId: RequestId,
  tenant: Slug,
  /** null: the base model alone. */
  adapterDigest: Digest.nullable(),
  pool: Slug,
  gatewayId: Slug,
  timeMs: TimeMs,
  promptTokens: Count,
  /** Handed to the client, over all choices. */
  completionTokens: Count,
  /** The call has ended: there will be no more. */
  final: z.boolean(),
  /** How long the client waited; left out until the call has ended, and where nothing was delivered. */
  latency: z
    .strictObject({
      /** From the call's acceptance to its first token, of whichever choice. */
      firstTokenMs: Count,
      /** From its first token to its last. */
      generationMs: Count,
    })
    .optional(),
})
export type UsageEvent = z.infer<typeof UsageEvent>

/** Prefixes of the API keys that a gateway has accepted in the time before `timeMs`. */
export const KeysUsed = z.strictObject({
  timeMs: TimeMs,
  prefixes: z.array(z.string().regex(/^[a-z0-9]{12}$/)).max(10_000),
})
export type KeysUsed = z.infer<typeof KeysUsed>
