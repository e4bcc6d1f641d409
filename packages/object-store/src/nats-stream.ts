import { AppError, objectBucket } from '@punica/schema'
import { DiscardPolicy, type JetStreamManager, type NatsConnection, NatsError } from 'nats'

/** The stream behind the bucket. */
export const STREAM = `OBJ_${objectBucket}`

const READ_TIMEOUT_MS = 10_000

/** Makes the bucket where it is not there yet. */
export const ensureObjectStream = async (jsm: JetStreamManager): Promise<void> => {
  const config = {
    name: STREAM,
    subjects: [`$O.${objectBucket}.C.>`, `$O.${objectBucket}.M.>`],
    discard: DiscardPolicy.New,
    allow_rollup_hdrs: true,
    allow_direct: true,
  }
  const existing = await orUnavailable(orNull(jsm.streams.info(STREAM), isStreamMissing))
  if (existing !== null) return
  // Another program may have made it just now, or an operator with other settings.
  await orUnavailable(orNull(jsm.streams.add(config), isStreamThere))
}

export type StoredMessage = { seq: number; timeMs: number; data: Uint8Array }

/** What a message is asked for by: the newest of a subject, or the first from a place on. */
export type Query = { last_by_subj: string } | { seq: number; next_by_subj: string }

/**
 * One message of the stream, or null where there is none. This is JetStream's direct read: a
 * question and an answer, so a slow reader holds nothing up and no consumer is left behind.
 */
export const getMessage = async (
  connection: NatsConnection,
  query: Query,
): Promise<StoredMessage | null> => {
  const subject = `$JS.API.DIRECT.GET.${STREAM}`
  const answer = await orUnavailable(
    connection.request(subject, JSON.stringify(query), { timeout: READ_TIMEOUT_MS }),
  )
  const { code = 0, description = '' } = answer.headers ?? {}
  if (code === 404) return null
  if (code >= 400) return orUnavailable(Promise.reject(new Error(`${code} ${description}`)))
  return {
    seq: Number(answer.headers?.get('Nats-Sequence')),
    timeMs: Date.parse(answer.headers?.get('Nats-Time-Stamp') ?? '') || 0,
    data: answer.data,
  }
}

/** The subjects below a filter that have messages. The server pages; the client asks for each page. */
export const listSubjects = async (jsm: JetStreamManager, filter: string): Promise<string[]> => {
  const { state } = await orUnavailable(jsm.streams.info(STREAM, { subjects_filter: filter }))
  return Object.keys(state.subjects ?? {})
}

/** Null instead of the failure that means it. */
const orNull = <T>(
  promise: Promise<T>,
  meansNull: (cause: unknown) => boolean,
): Promise<T | null> =>
  promise.catch((cause) => {
    if (meansNull(cause)) return null
    throw cause
  })

export const orUnavailable = <T>(promise: Promise<T>): Promise<T> =>
  promise.catch((cause) => {
    const message = 'The object store cannot be reached, or is full; try again'
    throw new AppError('unavailable', message, { cause })
  })

/** Error 10071 of JetStream's API: the subject has changed since. */
export const isWrongRevision = (cause: unknown): boolean => apiCode(cause) === 10071

const isStreamMissing = (cause: unknown): boolean => apiCode(cause) === 10059

const isStreamThere = (cause: unknown): boolean => apiCode(cause) === 10058

const apiCode = (cause: unknown): number | undefined =>
  cause instanceof NatsError ? cause.api_error?.err_code : undefined
