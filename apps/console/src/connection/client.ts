import { createClient as createSocket, type Client as Socket } from 'graphql-ws'
import {
  type Client,
  cacheExchange,
  createClient,
  fetchExchange,
  mapExchange,
  subscriptionExchange,
} from 'urql'
import { toProblem } from './problem.ts'
import { refreshExchange } from './refresh-exchange.ts'
import { createStatus, type Status } from './status.ts'

/** The control plane as one key sees it. */
export type Connection = {
  client: Client
  status: Status
  /** A socket of its own for one stream that must not begin again by itself when it breaks. */
  openOnce(): Socket
  close(): void
}

/** graphql-ws closes with it when the server refuses the key. */
const forbidden = 4403
/** A control plane that hangs is noticed by a ping that is not answered for as long again. */
const keepAliveMs = 4_000
const maxWaitMs = 4_000

const socketUrl = (): string => {
  const url = new URL('/graphql', window.location.href)
  url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:'
  return url.href
}

/**
 * Connects with a key. Subscriptions come back by themselves after an interruption, and what is on
 * the page is asked for again then. `onRefused` hears when the key does not hold any more.
 */
export const connect = (key: string, onRefused: (message: string) => void): Connection => {
  const status = createStatus()
  const connectionParams = { authorization: `Bearer ${key}` }
  let unanswered: ReturnType<typeof setTimeout> | undefined
  const socket = createSocket({
    url: socketUrl(),
    connectionParams,
    lazy: false,
    keepAlive: keepAliveMs,
    retryAttempts: Number.POSITIVE_INFINITY,
    shouldRetry: (cause) => !isForbidden(cause),
    retryWait: (retries) => wait(Math.min(250 * 2 ** retries, maxWaitMs) * (0.5 + Math.random())),
    onNonLazyError: () => {},
    on: {
      connected: () => status.set('live'),
      ping: (isReceived) => {
        if (!isReceived) unanswered = setTimeout(() => socket.terminate(), keepAliveMs)
      },
      pong: (isReceived) => {
        if (isReceived) clearTimeout(unanswered)
      },
      closed: (event) => {
        clearTimeout(unanswered)
        status.set('lost')
        if (isForbidden(event)) onRefused('The key is not accepted any more.')
      },
    },
  })
  const client = createClient({
    url: new URL('/graphql', window.location.href).href,
    preferGetMethod: false,
    requestPolicy: 'cache-and-network',
    fetchOptions: { headers: connectionParams },
    exchanges: [
      refreshExchange(status),
      cacheExchange,
      mapExchange({
        onError: (error) => {
          const { code, message } = toProblem(error)
          if (code === 'unauthenticated') onRefused(message)
        },
      }),
      fetchExchange,
      subscriptionExchange({ forwardSubscription: forward(socket) }),
    ],
  })
  return {
    client,
    status,
    openOnce: () => createSocket({ url: socketUrl(), connectionParams, retryAttempts: 0 }),
    close: () => void socket.dispose(),
  }
}

type Forward = Parameters<typeof subscriptionExchange>[0]['forwardSubscription']

const forward =
  (socket: Socket): Forward =>
  ({ query = '', variables }) => ({
    subscribe: (sink) => ({
      unsubscribe: socket.subscribe(
        { query, variables: variables ?? null },
        {
          next: ({ data, errors }) =>
            sink.next({
              // Those who read expect data or none, not null.
              ...(data ? { data } : {}),
              ...(errors === undefined ? {} : { errors: [...errors] }),
            }),
          error: (cause) => sink.error(cause),
          complete: () => sink.complete(),
        },
      ),
    }),
  })

const isForbidden = (cause: unknown): boolean =>
  typeof cause === 'object' && cause !== null && 'code' in cause && cause.code === forbidden

const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))
