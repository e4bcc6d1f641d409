import { AppError } from '@punica/schema'
import type { GraphQLFormattedError } from 'graphql'
import { createClient } from 'graphql-ws'
import { WebSocket } from 'ws'
import type { TypedDocumentString } from '../generated/graphql.ts'
import { toError } from './connect.ts'

/** graphql-ws closes with it when the server refuses the key. */
const forbidden = 4403
/** A control plane that hangs is noticed by a ping that is not answered for as long again. */
const keepAliveMs = 4_000
const maxWaitMs = 4_000

export type Subscriptions = {
  /** Ends when the server ends it; rejects with AppError. */
  subscribe<R, V extends Record<string, unknown>>(
    document: TypedDocumentString<R, V>,
    variables: V,
  ): AsyncIterableIterator<R>
  close(): void
}

type Options = {
  url: string
  authorization: string
  signal: AbortSignal
  /** After a break it connects again by itself, and what is subscribed to comes anew; 0: it does not. */
  maxRetries: number
  /** Told whether the connection stands. */
  onChange?: (isLive: boolean) => void
}

/** Subscriptions of the control plane over one WebSocket, until the signal is aborted. */
export const openSubscriptions = (options: Options): Subscriptions => {
  const { url, authorization, signal, maxRetries, onChange = () => {} } = options
  let unanswered: NodeJS.Timeout | undefined
  const client = createClient({
    url: `${url.replace(/^http/, 'ws')}/graphql`,
    webSocketImpl: WebSocket,
    connectionParams: { authorization },
    keepAlive: keepAliveMs,
    retryAttempts: maxRetries,
    shouldRetry: (cause) => !isForbidden(cause),
    retryWait: (retries) => wait(Math.min(250 * 2 ** retries, maxWaitMs) * (0.5 + Math.random())),
    on: {
      connected: () => onChange(true),
      ping: (isReceived) => {
        if (!isReceived) unanswered = setTimeout(() => client.terminate(), keepAliveMs)
      },
      pong: (isReceived) => {
        if (isReceived) clearTimeout(unanswered)
      },
      closed: () => {
        clearTimeout(unanswered)
        onChange(false)
      },
    },
  })
  return {
    subscribe: <R, V extends Record<string, unknown>>(
      document: TypedDocumentString<R, V>,
      variables: V,
    ) =>
      iterate<R>(client.iterate<R>({ query: String(document), variables }), {
        url,
        signal,
      }),
    close: () => void client.dispose(),
  }
}

type Result<R> = {
  data?: R | null | undefined
  errors?: readonly GraphQLFormattedError[] | undefined
}

async function* iterate<R>(
  results: AsyncIterableIterator<Result<R>>,
  { url, signal }: { url: string; signal: AbortSignal },
): AsyncGenerator<R, void> {
  const stop = (): void => void results.return?.()
  signal.addEventListener('abort', stop)
  try {
    for await (const { data, errors } of results) {
      const problem = errors?.[0]
      if (problem !== undefined) throw toProblem(problem)
      if (data != null) yield data
    }
  } catch (cause) {
    throw toAppError(cause, url)
  } finally {
    signal.removeEventListener('abort', stop)
  }
}

/** graphql-ws rejects with errors of GraphQL, with how the socket closed, or with an event. */
const toAppError = (cause: unknown, url: string): AppError => {
  if (cause instanceof AppError) return cause
  if (Array.isArray(cause)) return toProblem(cause[0])
  if (isForbidden(cause)) return new AppError('unauthenticated', 'The key is not accepted')
  return new AppError('unavailable', `The control plane at ${url} does not answer`, { cause })
}

const toProblem = ({ message, extensions }: GraphQLFormattedError): AppError =>
  toError(extensions !== undefined && 'code' in extensions ? extensions.code : null, message)

const isForbidden = (cause: unknown): boolean =>
  typeof cause === 'object' && cause !== null && 'code' in cause && cause.code === forbidden

const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))
