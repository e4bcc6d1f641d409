import { ApolloServer, type ApolloServerPlugin } from '@apollo/server'
import { ApolloServerPluginLandingPageDisabled } from '@apollo/server/plugin/disabled'
import { AppError } from '@punica/schema'
import type { Logger } from '@punica/service'
import { type DocumentNode, type GraphQLSchema, visit } from 'graphql'
import type { Actor } from '../keys/actor.ts'
import type { Context } from './context.ts'
import { costLimit } from './cost-limit.ts'
import { createErrorFormatter, toRequestError } from './errors.ts'

/** Bounds on the text of an operation, over HTTP and WebSocket alike. */
export const maxTokens = 2_000
export const maxBodyBytes = 256 * 1024

/** A client may send the hash of an operation instead of its text for so long after it sent both. */
const persistedTtlSeconds = 900

export const createGraphqlServer = (schema: GraphQLSchema, log: Logger): ApolloServer<Context> =>
  new ApolloServer<Context>({
    schema,
    introspection: true, // for operators: see operatorsIntrospect
    csrfPrevention: true,
    allowBatchedHttpRequests: false,
    // The server's cache is bounded by its size; what falls out of it is sent once more.
    persistedQueries: { ttl: persistedTtlSeconds },
    hideSchemaDetailsFromClientErrors: true,
    includeStacktraceInErrorResponses: false,
    stopOnTerminationSignals: false,
    parseOptions: { maxTokens },
    validationRules: [costLimit],
    formatError: createErrorFormatter(log),
    logger: toApolloLogger(log),
    plugins: [ApolloServerPluginLandingPageDisabled(), operatorsIntrospect],
  })

const toApolloLogger = (log: Logger) => ({
  debug: (message?: unknown) => log.debug({ message }, 'apollo server'),
  info: (message?: unknown) => log.debug({ message }, 'apollo server'),
  warn: (message?: unknown) => log.warn({ message }, 'apollo server'),
  error: (message?: unknown) => log.error({ message }, 'apollo server'),
})

/** Throws AppError `forbidden` where somebody but an operator asks for the schema. */
export const checkIntrospection = (document: DocumentNode, actor: Actor): void => {
  if (actor.role === 'OPERATOR') return
  visit(document, {
    Field: ({ name }) => {
      if (name.value !== '__schema' && name.value !== '__type') return
      throw new AppError('forbidden', 'Introspection needs an operator key')
    },
  })
}

const operatorsIntrospect: ApolloServerPlugin<Context> = {
  requestDidStart: async () => ({
    didResolveOperation: async ({ document, contextValue }) => {
      try {
        checkIntrospection(document, contextValue.actor)
      } catch (cause) {
        throw cause instanceof AppError ? toRequestError(cause, 403) : cause
      }
    },
  }),
}
