import { randomBytes } from 'node:crypto'
import { AppError, ChatBody, CompletionBody, limits, Traceparent } from '@punica/schema'
import { openApiDocument } from '@punica/schema/documents'
import type { Logger } from '@punica/service'
import {
  type FastifyBaseLogger,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  fastify,
  LogController,
} from 'fastify'
import { type Gateway, parseBody } from '../gateway.ts'
import type { TokenNames } from '../logprobs.ts'
import { type AnswerInput, answerStream, answerWhole } from './answer.ts'
import { createChatShape } from './chat-shape.ts'
import { createCompletionShape } from './completion-shape.ts'
import { createConnections } from './connections.ts'
import { toErrorReply } from './errors.ts'
import { readJsonBodies } from './json-body.ts'

export type AppDeps = {
  gateway: Gateway
  names: TokenNames
  log: Logger
  clock: () => number
  /** Longest time that a call may take; a connection may be silent for as long. */
  requestTimeoutMs: number
  /** A client has this long to send its headers, and this long for the whole request. */
  headersTimeoutMs: number
  bodyTimeoutMs: number
  /** Those above it are closed as they come. */
  maxConnections: number
  isReady: () => Promise<boolean>
}

/** Above the idle time-outs of common proxies, so that it is they who close a connection. */
const keepAliveTimeoutMs = 75_000
/** How often the server looks for requests that are not sent in time, at most. */
const checkingIntervalMs = 5_000

/** The OpenAI face of the gateway. It opens no port: `listen` does, or `inject` in a test. */
export const createApp = (deps: AppDeps): FastifyInstance => {
  const { gateway, log, requestTimeoutMs, headersTimeoutMs, bodyTimeoutMs, isReady } = deps
  const connections = createConnections()
  // Said by its general type: the instance's type would carry pino's otherwise.
  const loggerInstance: FastifyBaseLogger = log
  const app = fastify({
    loggerInstance,
    // A call is one line of the gateway's own, not two of the server's.
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: limits.requestBodyBytes,
    genReqId: () => randomBytes(16).toString('hex'),
    http: {
      headersTimeout: headersTimeoutMs,
      connectionsCheckingInterval: Math.min(headersTimeoutMs, checkingIntervalMs),
    },
    clientErrorHandler: connections.refuse,
    requestTimeout: bodyTimeoutMs,
    keepAliveTimeout: keepAliveTimeoutMs,
    connectionTimeout: requestTimeoutMs + bodyTimeoutMs,
    // Calls that come while it stops are refused in the API's own words.
    return503OnClosing: false,
    forceCloseConnections: 'idle',
  })

  app.server.maxConnections = deps.maxConnections
  readJsonBodies(app)
  app.decorateRequest('tenant', '')
  app.addHook('onRequest', async (request, reply) => {
    if (!connections.begin(request.socket, reply.raw)) return reply.hijack()
    reply.header('x-request-id', request.id)
  })
  app.setErrorHandler((cause, request, reply) => sendError(cause, request, reply))
  app.setNotFoundHandler((request) => {
    throw new AppError('not_found', `There is no ${request.method} ${request.url.split('?')[0]}`)
  })

  const document = openApiDocument()
  app.get('/openapi.json', async () => document)
  app.get('/health', async () => ({ status: 'ok' }))
  app.get('/ready', async (_, reply) => {
    const ready = await isReady()
    return reply.code(ready ? 200 : 503).send({ status: ready ? 'ready' : 'not ready' })
  })
  app.register(async (v1) => {
    // Before the body is read: who has no key cannot make this process parse megabytes.
    v1.addHook('onRequest', async (request) => {
      request.tenant = gateway.authenticate(bearerOf(request)).tenant
    })
    addRoutes(v1, deps)
  })
  return app
}

const addRoutes = (app: FastifyInstance, { gateway, names, clock }: AppDeps): void => {
  const common = (request: FastifyRequest) => ({
    requestId: request.id,
    tenant: request.tenant,
    traceparent: Traceparent.safeParse(request.headers.traceparent).data,
  })
  const answer = (input: AnswerInput) => {
    const { stream, stream_options: options } = input.call.body
    return stream === true
      ? answerStream(input, { includeUsage: options?.include_usage === true })
      : answerWhole(input)
  }

  app.post('/v1/chat/completions', async (request, reply) => {
    const body = parseBody(ChatBody, request.body)
    const shape = createChatShape(names, body.logprobs === true)
    const call = { ...common(request), type: 'chat' as const, body }
    return answer({ gateway, call, shape, reply, clock })
  })
  app.post('/v1/completions', async (request, reply) => {
    const body = parseBody(CompletionBody, request.body)
    const shape = createCompletionShape(names, body.logprobs != null)
    const call = { ...common(request), type: 'completion' as const, body }
    return answer({ gateway, call, shape, reply, clock })
  })
  app.get('/v1/models', async ({ tenant }) => ({
    object: 'list',
    data: gateway.listModels(tenant),
  }))
  // A name may have a slash in it: `tenant/adapter`.
  app.get<{ Params: { '*': string } }>('/v1/models/*', async ({ tenant, params }) =>
    gateway.findModel(tenant, params['*']),
  )
}

const bearerOf = ({ headers }: FastifyRequest): string =>
  /^bearer +(\S+)$/i.exec(headers.authorization ?? '')?.[1] ?? ''

const sendError = (cause: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply => {
  const { status, headers, body } = toErrorReply(cause)
  if (body.error.code === 'internal') {
    request.log.error({ err: cause, requestId: request.id }, 'request failed')
  }
  // Fastify wants to close a connection on which a refused body is still under way. A client that is
  // busy sending would meet the closed connection and never the answer, so the rest of the body is
  // read and dropped instead, within bodyTimeoutMs.
  reply.removeHeader('connection')
  return reply.code(status).headers(headers).send(body)
}

declare module 'fastify' {
  interface FastifyRequest {
    /** Whose key the request came with; empty on routes that need none. */
    tenant: string
  }
}
