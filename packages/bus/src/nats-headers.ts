import { Traceparent } from '@punica/schema'
import { headers, type MsgHdrs } from 'nats'

const name = 'traceparent'

/** The headers of a message that is a part of a trace; none where it is of none. */
export const headersOf = (traceparent: string | undefined): { headers?: MsgHdrs } => {
  if (traceparent === undefined) return {}
  const made = headers()
  made.set(name, traceparent)
  return { headers: made }
}

/** The trace that a message says it is a part of. Anybody may have sent it, so it is checked. */
export const traceparentOf = (headers: MsgHdrs | undefined): string | undefined =>
  headers === undefined ? undefined : Traceparent.safeParse(headers.get(name)).data
