import { createClient as createSocket } from 'graphql-ws'
import { type Client, cacheExchange, createClient, fetchExchange, subscriptionExchange } from 'urql'

/** A GraphQL client that carries `key`; subscriptions reconnect by themselves. */
export const connect = (key: string): Client => {
  const url = new URL('/graphql', window.location.href)
  const socketUrl = new URL(url)
  socketUrl.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:'
  const socket = createSocket({
    url: socketUrl.href,
    connectionParams: { authorization: `Bearer ${key}` },
    retryAttempts: Number.POSITIVE_INFINITY,
    shouldRetry: () => true,
  })
  return createClient({
    url: url.href,
    preferGetMethod: false,
    fetchOptions: { headers: { authorization: `Bearer ${key}` } },
    exchanges: [
      cacheExchange,
      fetchExchange,
      subscriptionExchange({
        forwardSubscription: ({ query = '', variables }) => ({
          subscribe: (sink) => ({
            unsubscribe: socket.subscribe(
              { query, variables: variables ?? null },
              {
                next: ({ data = null, errors }) =>
                  sink.next({ data, ...(errors === undefined ? {} : { errors: [...errors] }) }),
                error: (cause) => sink.error(cause),
                complete: () => sink.complete(),
              },
            ),
          }),
        }),
      }),
    ],
  })
}
