import type { KV } from 'nats'
import { toBusError } from './nats-failures.ts'
import type { Link } from './nats-link.ts'

const BUCKET_BYTES = 256 * 1024 ** 2

/** How long JetStream's API may take to answer. */
export const TIMEOUT_MS = 5000

/** Opens the bucket, or makes it where it is not there yet. */
export const openBucket = async ({ js }: Link, bucket: string): Promise<KV> => {
  try {
    return await js.views.kv(bucket, { history: 1, max_bytes: BUCKET_BYTES })
  } catch (cause) {
    throw toBusError(cause, bucket, TIMEOUT_MS)
  }
}
