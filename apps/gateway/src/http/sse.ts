import type { ServerResponse } from 'node:http'

/** Server-sent events, as OpenAI's streams are: one JSON value each, and `[DONE]` at the end. */
export type SseStream = {
  /** Sends one event. Returns false when more than the bound waits for a client that does not read. */
  send(json: string): boolean
  /** `complete` says that the answer is whole: `[DONE]` is sent only then. */
  end(outcome: 'complete' | 'broken'): void
}

/** What may wait in memory for one slow client. */
const maxBufferedBytes = 1024 ** 2
/** How long what is left of an ended stream waits for a client that does not read. */
const lingerMs = 30_000

export const openSse = (
  response: ServerResponse,
  headers: Record<string, number | string | string[] | undefined>,
): SseStream => {
  response.writeHead(200, {
    ...headers,
    'content-type': 'text/event-stream; charset=utf-8',
    'cache-control': 'no-cache',
    'x-accel-buffering': 'no',
  })
  return {
    send: (json) => {
      response.write(`data: ${json}\n\n`)
      return response.writableLength <= maxBufferedBytes
    },
    end: (outcome) => {
      response.socket?.setTimeout(lingerMs)
      response.end(outcome === 'complete' ? 'data: [DONE]\n\n' : undefined)
    },
  }
}
