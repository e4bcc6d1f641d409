import { z } from 'zod'
import { limits } from './limits.ts'
import { RequestId, Slug } from './names.ts'

// What a router and its pool say to each other when it begins to lead.

const Count = z.int().nonnegative()

/**
 * A router leads the pool from now on; it says so about once a second. A node obeys no earlier one
 * any more and reports at once.
 */
export const LeaderAnnouncement = z.strictObject({ epoch: z.int().positive() })
export type LeaderAnnouncement = z.infer<typeof LeaderAnnouncement>

/** A leader that has just begun asks a gateway what it waits for, a page at a time, from 0. */
export const WaitingRequest = z.strictObject({ epoch: Count, page: Count })
export type WaitingRequest = z.infer<typeof WaitingRequest>

/** All pages are of the moment at which the first was asked for. */
export const WaitingReply = z.strictObject({
  requests: z
    .array(
      z.strictObject({
        requestId: RequestId,
        attempt: Count,
        /** Where the tokens of this attempt come from; null: none has come. */
        nodeId: Slug.nullable(),
      }),
    )
    .max(limits.maxWaitingPerPage),
  isLast: z.boolean(),
})
export type WaitingReply = z.infer<typeof WaitingReply>
