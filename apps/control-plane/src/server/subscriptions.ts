import type { Server } from 'node:http'
import { AppError } from '@punica/schema'
import {
  type ExecutionArgs,
  GraphQLError,
  type GraphQLSchema,
  getOperationAST,
  parse,
  specifiedRules,
  validate,
} from 'graphql'
import type { SubscribePayload } from 'graphql-ws'
import { useServer } from 'graphql-ws/use/ws'
import { WebSocketServer } from 'ws'
import type { Actor } from '../keys/actor.ts'
import { authenticate, keyOf } from '../keys/authenticate.ts'
import type { Context, Deps } from './context.ts'
import { costLimit } from './cost-limit.ts'
import { createErrorFormatter } from './errors.ts'
import { checkIntrospection, maxBodyBytes, maxTokens } from './graphql.ts'
import { createLoaders } from './loaders.ts'

type Options = { server: Server; schema: GraphQLSchema; deps: Deps }

/** Of one connection. */
const maxOperations = 16

/**
 * Serves subscriptions over WebSocket at /graphql (the graphql-transport-ws protocol). A client
 * authenticates by that header or, as browsers cannot set any, by
 * `connectionParams: { authorization: 'Bearer pk_...' }`.
 */
export const serveSubscriptions = ({ server, schema, deps }: Options) => {
  const sockets = new WebSocketServer({ noServer: true, maxPayload: maxBodyBytes })
  server.on('upgrade', (request, socket, head) => {
    if (request.url?.split('?')[0] !== '/graphql') {
      socket.destroy()
      return
    }
    sockets.handleUpgrade(request, socket, head, (client) =>
      sockets.emit('connection', client, request),
    )
  })
  const format = createErrorFormatter(deps.log)
  const formatAll = (errors: readonly GraphQLError[]) =>
    errors.map((error) => format(error.toJSON(), error))

  return useServer<Record<string, unknown>, { actor: Actor; secret: string }>(
    {
      connectionInitWaitTimeout: 5_000,
      onConnect: async ({ connectionParams, extra }) => {
        const given = connectionParams?.authorization ?? extra.request.headers.authorization
        const header = typeof given === 'string' ? given : undefined
        try {
          extra.actor = await authenticate(deps.db, header)
          extra.secret = keyOf(header) ?? ''
          deps.keyUse.note(extra.actor.keyPrefix)
          return true
        } catch (cause) {
          if (!(cause instanceof AppError)) deps.log.error({ err: cause }, 'connection failed')
          return false
        }
      },
      onSubscribe: ({ extra: { actor, secret }, subscriptions }, _id, payload) => {
        try {
          if (actor === undefined || secret === undefined) {
            throw new AppError('unauthenticated', 'The socket has no key')
          }
          if (Object.keys(subscriptions).length > maxOperations) {
            throw new AppError(
              'overloaded',
              `One socket has at most ${maxOperations} subscriptions`,
            )
          }
          return prepare(schema, payload, {
            ...deps,
            actor,
            secret,
            loaders: createLoaders(deps.db),
          })
        } catch (cause) {
          const originalError = cause instanceof Error ? cause : new Error(String(cause))
          return [new GraphQLError(originalError.message, { originalError })]
        }
      },
      onNext: (_context, _id, _payload, _args, result) => {
        const { errors, data = null } = result
        return errors === undefined ? { data } : { data, errors: formatAll(errors) }
      },
      onError: (_context, _id, _payload, errors) => formatAll(errors),
    },
    sockets,
  )
}

/** What graphql-js shall execute. Throws AppError under the same bounds that hold over HTTP. */
const prepare = (
  schema: GraphQLSchema,
  { query, operationName, variables }: SubscribePayload,
  contextValue: Context,
): ExecutionArgs => {
  const document = parseQuery(query)
  const [problem] = validate(schema, document, [...specifiedRules, costLimit])
  if (problem !== undefined) throw new AppError('invalid_request', problem.message)
  checkIntrospection(document, contextValue.actor)
  if (getOperationAST(document, operationName)?.operation !== 'subscription') {
    throw new AppError(
      'invalid_request',
      'Only subscriptions travel over WebSocket; POST the others',
    )
  }
  return {
    schema,
    document,
    contextValue,
    operationName: operationName ?? null,
    variableValues: variables ?? null,
  }
}

const parseQuery = (query: string) => {
  try {
    return parse(query, { maxTokens })
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : String(cause)
    throw new AppError('invalid_request', message, { cause })
  }
}
