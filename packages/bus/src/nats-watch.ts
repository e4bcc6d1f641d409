import type { RecordKind } from '@punica/schema'
import { consumerOpts, type JsMsg, nuid } from 'nats'
import type { RecordUpdate, Stop } from './bus.ts'
import { openBucket, TIMEOUT_MS } from './nats-bucket.ts'
import { toBusError } from './nats-failures.ts'
import { type Link, pause } from './nats-link.ts'
import { createRecordPicture, type RecordEntry, type RecordPicture } from './record-picture.ts'

const RETRY_MS = 500

/**
 * Follows the records of a kind. The client library's own watch says that it is up to date before
 * the entries it has queued were handled, and takes ten seconds to notice a restarted server; so
 * each reconnection opens a new consumer here, which hands over the newest state of every key.
 */
export const watchRecords = async <T>(
  link: Link,
  kind: RecordKind<T>,
  handler: (update: RecordUpdate<T>) => void,
): Promise<Stop> => {
  const stopped = new AbortController()
  const signal = AbortSignal.any([stopped.signal, link.closing])
  const picture = createRecordPicture({ kind, onProblem: link.onProblem, handler })

  const follow = async (first: Snapshot): Promise<void> => {
    let snapshot: Snapshot | null = first
    while (!signal.aborted) {
      await snapshot?.ended
      if (signal.aborted) return
      snapshot = await openSnapshot(link, kind, picture, signal).catch(async (err) => {
        link.log.warn({ err, kind: kind.prefix }, 'watch interrupted')
        await pause(RETRY_MS, signal)
        return null
      })
    }
  }

  link.track(follow(await openSnapshot(link, kind, picture, signal)))
  return () => stopped.abort()
}

/** A consumer that has handed over what there was; it goes on with the changes until it ends. */
type Snapshot = { ended: Promise<void> }

const openSnapshot = async <T>(
  link: Link,
  kind: RecordKind<T>,
  picture: RecordPicture,
  outer: AbortSignal,
): Promise<Snapshot> => {
  const end = new AbortController()
  const over = AbortSignal.any([end.signal, outer])
  const ended = new Promise<void>((resolve) => {
    if (over.aborted) resolve()
    over.addEventListener('abort', () => resolve())
  })
  const forget = link.onReconnect(() => end.abort())
  ended.then(forget)
  try {
    await openBucket(link, kind.bucket)
    picture.begin((await link.jsm.streams.info(streamOf(kind))).created)
    await Promise.race([readSnapshot(link, kind, picture, over, () => end.abort()), ended])
    if (over.aborted) throw new Error('the connection was lost while records were read')
    return { ended }
  } catch (cause) {
    end.abort()
    throw toBusError(cause, kind.bucket, TIMEOUT_MS)
  }
}

/** Resolves once the snapshot is complete; changes are accepted until `over`. */
const readSnapshot = async <T>(
  link: Link,
  kind: RecordKind<T>,
  picture: RecordPicture,
  over: AbortSignal,
  end: () => void,
): Promise<void> => {
  let complete = (): void => {}
  const completed = new Promise<void>((resolve) => {
    let isComplete = false
    complete = () => {
      if (isComplete || over.aborted) return
      isComplete = true
      picture.complete()
      resolve()
    }
  })
  const options = consumerOpts()
  options.bindStream(streamOf(kind))
  options.consumerName(nuid.next())
  options.orderedConsumer()
  options.deliverLastPerSubject()
  options.callback((err, message) => {
    if (over.aborted) return
    if (err !== null || message === null) return end()
    picture.accept(toEntry(kind, message))
    if (message.info.pending === 0) complete()
  })
  const subscription = await link.js.subscribe(`${subjectPrefix(kind)}>`, options)
  if (over.aborted) subscription.unsubscribe()
  else over.addEventListener('abort', () => subscription.unsubscribe())

  // Where there is nothing to hand over, no message says so.
  const { num_pending, delivered } = await subscription.consumerInfo()
  if (num_pending + delivered.consumer_seq === 0) complete()
  await completed
}

const streamOf = ({ bucket }: RecordKind<unknown>): string => `KV_${bucket}`

const subjectPrefix = ({ bucket, prefix }: RecordKind<unknown>): string =>
  `$KV.${bucket}.${prefix}.`

const toEntry = (kind: RecordKind<unknown>, message: JsMsg): RecordEntry => ({
  key: message.subject.slice(subjectPrefix(kind).length),
  // Only the marks of deleted and purged keys carry an operation.
  data: message.headers?.get('KV-Operation') ? null : message.data,
  revision: message.seq,
})
