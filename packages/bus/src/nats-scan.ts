import type { RecordKind } from '@punica/schema'
import { AckPolicy, type Consumer, DeliverPolicy, type JsMsg, nanos } from 'nats'
import type { ScannedRecord } from './bus.ts'
import { decodeRecord } from './codec.ts'
import { openBucket, TIMEOUT_MS } from './nats-bucket.ts'
import { toBusError } from './nats-failures.ts'
import type { Link } from './nats-link.ts'

/** Records that are handled at once: these many take a few milliseconds. */
const PAGE = 100
/** How long the handling of one page may take; the server then forgets the reader. */
const INACTIVE_MS = 60_000

/**
 * Hands over the records that there are, page by page and only as fast as the handler takes them. A
 * watch is sent everything at once, which with very many records keeps the event loop from all else.
 */
export const scanRecords = async <T>(
  link: Link,
  kind: RecordKind<T>,
  handler: (page: ScannedRecord<T>[]) => Promise<void>,
): Promise<void> => {
  const stream = `KV_${kind.bucket}`
  const prefix = `$KV.${kind.bucket}.${kind.prefix}.`
  const attempt = async <R>(call: Promise<R>): Promise<R> => {
    try {
      return await call
    } catch (cause) {
      throw toBusError(cause, kind.bucket, TIMEOUT_MS)
    }
  }

  await openBucket(link, kind.bucket)
  // The consumer goes on with what is written meanwhile, which may never end: all that was there
  // before has been handed over once a message is as late as this one.
  const { state } = await attempt(link.jsm.streams.info(stream))
  const { name, num_pending } = await attempt(
    link.jsm.consumers.add(stream, {
      ack_policy: AckPolicy.None,
      deliver_policy: DeliverPolicy.LastPerSubject,
      filter_subject: `${prefix}>`,
      inactive_threshold: nanos(INACTIVE_MS),
      mem_storage: true,
    }),
  )
  const consumer = await attempt(link.js.consumers.get(stream, name))
  let numLeft = num_pending
  while (numLeft > 0) {
    const messages = await attempt(fetchPage(consumer, Math.min(PAGE, numLeft)))
    const last = messages.at(-1)
    if (last === undefined) throw toBusError(new Error('no record came'), kind.bucket, TIMEOUT_MS)
    numLeft = last.seq < state.last_seq ? last.info.pending : 0
    // Only the marks of deleted keys carry an operation.
    const records = messages.filter(({ headers }) => !headers?.get('KV-Operation'))
    await handler(
      records.map(({ subject, data }) => {
        const decoded = decodeRecord(kind.schema, data)
        const value = decoded.ok ? decoded.value : null
        return { key: subject.slice(prefix.length), value }
      }),
    )
  }
  await attempt(link.jsm.consumers.delete(stream, name))
}

const fetchPage = async (consumer: Consumer, size: number): Promise<JsMsg[]> => {
  const messages: JsMsg[] = []
  for await (const message of await consumer.fetch({ max_messages: size, expires: TIMEOUT_MS })) {
    messages.push(message)
  }
  return messages
}
