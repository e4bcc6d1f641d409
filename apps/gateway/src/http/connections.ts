import { type ServerResponse, STATUS_CODES } from 'node:http'
import type { Duplex } from 'node:stream'
import { AppError } from '@punica/schema'
import { toErrorReply } from './errors.ts'

/**
 * Requests of one connection under way at once. Clients that send one before they have the answer to
 * the last are rare; those that send thousands could hold as many answers in memory.
 */
const maxUnderWay = 16

/** What is being answered on each connection. */
export type Connections = {
  /** A request has come. False where it must not be answered: its connection is closed. */
  begin(socket: Duplex, response: ServerResponse): boolean
  /** Answers what the server could not read as a request, and closes the connection. */
  refuse(cause: Error & { code?: string }, socket: Duplex): void
}

export const createConnections = (): Connections => {
  const underWay = new WeakMap<Duplex, Set<ServerResponse>>()

  /** A second answer in the middle of one would be read as a part of it. */
  const isAnswering = (socket: Duplex): boolean =>
    [...(underWay.get(socket) ?? [])].some(({ headersSent }) => headersSent)

  return {
    begin: (socket, response) => {
      const responses = underWay.get(socket) ?? new Set()
      if (responses.size >= maxUnderWay) socket.destroy()
      if (socket.destroyed) return false
      underWay.set(socket, responses.add(response))
      response.once('close', () => responses.delete(response))
      return true
    },
    refuse: ({ code }, socket) => {
      if (socket.writable && code !== 'ECONNRESET' && !isAnswering(socket)) {
        socket.write(toResponse(code))
      }
      socket.destroy()
    },
  }
}

/** The status is HTTP's own, which says more than that of the error's code. */
const toResponse = (code: string | undefined): string => {
  const [status, error] = judge(code)
  const body = JSON.stringify(toErrorReply(error).body)
  return [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    'connection: close',
    'content-type: application/json; charset=utf-8',
    `content-length: ${Buffer.byteLength(body)}`,
    '',
    body,
  ].join('\r\n')
}

const judge = (code: string | undefined): [number, AppError] => {
  switch (code) {
    case 'HPE_HEADER_OVERFLOW':
      return [
        431,
        new AppError(
          'payload_too_large',
          'headers: are larger than the limit of 16 KiB; send fewer or shorter ones',
        ),
      ]
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return [
        408,
        new AppError('invalid_request', 'request: was not sent in time; send it without pauses'),
      ]
    default:
      return [400, new AppError('invalid_request', 'request: is not valid HTTP')]
  }
}
