import { createServer } from 'node:http'
import { ApolloServerPluginDrainHttpServer } from '@apollo/server/plugin/drainHttpServer'
import { expressMiddleware } from '@as-integrations/express5'
import { AppError, errors } from '@punica/schema'
import express, { type RequestHandler } from 'express'
import { authenticate, keyOf } from '../keys/authenticate.ts'
import { createCsvHandler } from '../usage/csv.ts'
import { serveConsole } from './console.ts'
import type { Context, Deps } from './context.ts'
import { toRequestError } from './errors.ts'
import { createGraphqlServer, maxBodyBytes } from './graphql.ts'
import { createJoinHandler } from './join.ts'
import { createLoaders } from './loaders.ts'
import { loadSchema } from './schema.ts'
import { serveSubscriptions } from './subscriptions.ts'
import { createErrorHandler, createOffsetHandler, createUploadHandler } from './uploads.ts'

type Options = { deps: Deps; host: string; port: number; consoleFolder?: string | undefined }

export type HttpServer = { port: number; close(): Promise<void> }

const maxJoinBytes = 4 * 1024

/** The largest upload at a slow megabyte a second takes about as long. */
const requestTimeoutMs = 3600_000

/**
 * Serves GraphQL at /graphql (HTTP, and WebSocket for subscriptions), uploads at /uploads, usage as
 * CSV, the way in for new nodes, and the console where there is one. Port 0 picks a free one; the
 * port in use is returned. `close` lets requests under way finish.
 */
export const serve = async ({ deps, host, port, consoleFolder }: Options): Promise<HttpServer> => {
  const schema = await loadSchema()
  const app = express().disable('x-powered-by')
  const server = createServer({ requestTimeout: requestTimeoutMs }, app)
  const graphql = createGraphqlServer(schema, deps.log)
  graphql.addPlugin(
    ApolloServerPluginDrainHttpServer({ httpServer: server, stopGracePeriodMillis: 5_000 }),
  )
  const subscriptions = serveSubscriptions({ server, schema, deps })
  await graphql.start()

  app.use(giveUpStalled)
  app.use(
    '/graphql',
    express.json({ limit: maxBodyBytes }),
    expressMiddleware(graphql, {
      context: ({ req }) => toContext(deps, req.headers.authorization),
    }),
  )
  app
    .route('/uploads/:uploadId/:file')
    .head(createOffsetHandler(deps))
    .put(createUploadHandler(deps))
  app.get('/usage.csv', createCsvHandler(deps))
  app.post('/nodes/join', express.json({ limit: maxJoinBytes }), createJoinHandler(deps))
  if (consoleFolder !== undefined) app.use(serveConsole(consoleFolder))
  app.use((request) => {
    throw new AppError('not_found', `There is nothing at ${request.method} ${request.path}`)
  })
  app.use(createErrorHandler(deps))

  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, resolve)
  })
  const address = server.address()
  return {
    port: typeof address === 'object' && address !== null ? address.port : port,
    close: async () => {
      // Subscriptions never end by themselves, and the server waits for its sockets.
      await subscriptions.dispose()
      await graphql.stop()
    },
  }
}

/** A body of which nothing arrives for so long is given up. */
const stalledMs = 30_000

/** Only the body is timed: what is done with it (the check of a large adapter) may take its time. */
const giveUpStalled: RequestHandler = (request, _response, next) => {
  request.setTimeout(stalledMs, () => request.destroy(new Error('the body stalled')))
  request.once('end', () => request.setTimeout(0))
  next()
}

const toContext = async (deps: Deps, authorization: string | undefined): Promise<Context> => {
  try {
    const actor = await authenticate(deps.db, authorization)
    deps.keyUse.note(actor.keyPrefix)
    return { ...deps, actor, secret: keyOf(authorization) ?? '', loaders: createLoaders(deps.db) }
  } catch (cause) {
    throw cause instanceof AppError ? toRequestError(cause, errors[cause.code].httpStatus) : cause
  }
}
