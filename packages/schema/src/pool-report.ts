import { z } from 'zod'
import { numLatencyBuckets } from './latency-buckets.ts'
import { Slug } from './names.ts'

/** How many times fell in which bucket (latency-buckets.ts), the empty ones left out. */
const LatencyCounts = z
  .array(
    z.tuple([
      z
        .int()
        .min(0)
        .max(numLatencyBuckets - 1),
      z.int().positive(),
    ]),
  )
  .max(numLatencyBuckets)

/** What is told of a pool for those who watch it, about once a second. Nothing depends on it. */
export const PoolReport = z.discriminatedUnion('type', [
  /** By the router that leads. */
  z.strictObject({
    type: z.literal('router'),
    epoch: z.int().nonnegative(),
    queuedRequests: z.int().nonnegative(),
    /** GPU-seconds that packing has saved against the least-loaded node, since it began to lead. */
    gpuSecondsSaved: z.number(),
  }),
  /** By a gateway: the latencies of the tokens that its clients were given since it last told. */
  z.strictObject({
    type: z.literal('latency'),
    gatewayId: Slug,
    timeToFirstToken: LatencyCounts,
    interToken: LatencyCounts,
  }),
])
export type PoolReport = z.infer<typeof PoolReport>
