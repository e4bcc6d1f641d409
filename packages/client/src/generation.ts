import { randomUUID } from 'node:crypto'
import type { Bus } from '@punica/bus'
import {
  ApiEvent,
  AppError,
  channels,
  fromWireError,
  type GenerateMessage,
  limits,
} from '@punica/schema'
import { createFeed, type Feed } from './feed.ts'
import { createOrdering } from './ordering.ts'

/** Events that may wait for the reader, and for an earlier event. */
const MAX_WAITING = 16_384
const MAX_HELD = 1024
/** How long an event may be missing while later ones are here. */
const GAP_MS = 5000
/** Heartbeats come more often; the connection may have been away for some of them. */
const SILENCE_MS = 4 * limits.heartbeatMs
/** A little more than a gateway lets a call live. */
const TIMEOUT_MS = 11 * 60_000

export type GenerateOptions = {
  /** Aborts the call: the stream rejects with AppError `cancelled`, and the work stops. */
  signal?: AbortSignal
  timeoutMs?: number
  /** How long nothing may come, not even a sign that the call is under way. */
  silenceMs?: number
}

export type Caller = {
  bus: Pick<Bus, 'inbox' | 'publish' | 'subscribe'>
  tenant: string
  apiKey: string
}

/** What an event of a call that goes well may be; `error` becomes a rejection. */
export type GenerationEvent = Exclude<ApiEvent, { type: 'error' | 'alive' }>

/**
 * One call of the NATS API as a stream of its events, in order, the last being `done`. It is sent
 * when the reader asks for the first event. A reader that stops early aborts it. Rejects with the
 * gateway's AppError; `unavailable` when no gateway listens, falls silent, or events were lost, `overloaded` when
 * the reader is too slow, `deadline_exceeded`, `cancelled`.
 */
export async function* generate(
  { bus, tenant, apiKey }: Caller,
  call: Pick<GenerateMessage, 'type' | 'body'>,
  { signal, timeoutMs = TIMEOUT_MS, silenceMs = SILENCE_MS }: GenerateOptions = {},
): AsyncGenerator<GenerationEvent, void, undefined> {
  if (signal?.aborted) throw aborted()
  const id = randomUUID()
  const inbox = bus.inbox()
  const feed = createFeed<ApiEvent>()
  const abort = (): void => feed.fail(aborted())
  signal?.addEventListener('abort', abort)
  const late = new AppError('deadline_exceeded', `The call took more than ${timeoutMs} ms`)
  const timer = setTimeout(() => feed.fail(late), timeoutMs)
  const silence = setTimeout(() => feed.fail(silent(silenceMs)), silenceMs)
  const stop = receive(bus, inbox, feed, () => silence.refresh())
  let isOver = false
  try {
    bus.publish(channels.generate(tenant), { ...call, id, apiKey }, { replyTo: inbox })
    while (!isOver) {
      const event = await feed.next()
      isOver = event.type === 'done' || event.type === 'error'
      if (event.type === 'error') throw fromWireError(event.error)
      if (event.type !== 'alive') yield event
    }
  } finally {
    stop()
    clearTimeout(timer)
    clearTimeout(silence)
    signal?.removeEventListener('abort', abort)
    if (!isOver) sayAborted({ bus, tenant, apiKey }, id)
  }
}

/** Feeds the events of an inbox, in order, until the returned function is called. */
const receive = (
  bus: Caller['bus'],
  inbox: string,
  feed: Feed<ApiEvent>,
  onSign: () => void,
): (() => void) => {
  const ordering = createOrdering()
  let gap: NodeJS.Timeout | undefined

  const watchGap = (): void => {
    if (ordering.numHeld() === 0) {
      clearTimeout(gap)
      gap = undefined
    }
    if (ordering.numHeld() > MAX_HELD) feed.fail(lost())
    if (ordering.numHeld() > 0) gap ??= setTimeout(() => feed.fail(lost()), GAP_MS)
  }

  const stop = bus.subscribe(
    { subject: inbox, schema: ApiEvent },
    (event) => {
      onSign()
      for (const ready of ordering.accept(event)) feed.push(ready)
      watchGap()
      if (feed.numWaiting() > MAX_WAITING) feed.fail(tooSlow())
    },
    { onNoResponders: () => feed.fail(noGateway()) },
  )
  return () => {
    stop()
    clearTimeout(gap)
  }
}

const sayAborted = ({ bus, tenant, apiKey }: Caller, id: string): void => {
  try {
    bus.publish(channels.abort(tenant), { id, apiKey })
  } catch {
    // The connection is closed: the gateway ends the call by its deadline.
  }
}

const aborted = (): AppError => new AppError('cancelled', 'The call was aborted')

const noGateway = (): AppError =>
  new AppError('unavailable', 'No gateway listens at present; try again')

const silent = (silenceMs: number): AppError =>
  new AppError('unavailable', `Nothing came from the gateway for ${silenceMs} ms; try again`)

const lost = (): AppError =>
  new AppError('unavailable', 'Events of this stream were lost on the way; try again')

const tooSlow = (): AppError =>
  new AppError('overloaded', `More than ${MAX_WAITING} events of this stream wait to be read`)
