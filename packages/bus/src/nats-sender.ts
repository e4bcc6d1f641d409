import type { PublishOptions } from './bus.ts'
import { closed } from './failures.ts'
import { headersOf } from './nats-headers.ts'
import type { Link } from './nats-link.ts'

/** Bytes that may wait for the server to take them. */
const MAX_PENDING_BYTES = 64 * 1024 ** 2
/** After so many the server is asked how far it is. */
const CHECK_BYTES = 1024 ** 2

export type Send = (subject: string, data: Uint8Array, options?: PublishOptions) => void

/**
 * Publishes with a bound on what waits in this process: the client library would buffer without
 * one. What is above the bound, or sent while the connection is down, is dropped and counted in the
 * log once per episode.
 */
export const createSender = ({ connection, log, isConnected }: Link): Send => {
  let numPending = 0
  let isChecking = false
  let numDropped = 0

  /** The server answers a ping once it has read everything before it. */
  const check = async (): Promise<void> => {
    isChecking = true
    const numAsked = numPending
    try {
      await connection.flush()
      numPending -= numAsked
    } catch {
      numPending = 0
    }
    isChecking = false
  }

  return (subject, data, { replyTo, traceparent } = {}) => {
    if (connection.isClosed() || connection.isDraining()) throw closed()
    if (!isConnected() || numPending + data.length > MAX_PENDING_BYTES) {
      numDropped++
      return
    }
    if (numDropped > 0) log.warn({ numDropped }, 'messages dropped, nats was too slow or away')
    numDropped = 0
    numPending += data.length
    connection.publish(subject, data, {
      ...(replyTo === undefined ? {} : { reply: replyTo }),
      ...headersOf(traceparent),
    })
    if (numPending > CHECK_BYTES && !isChecking) void check()
  }
}
