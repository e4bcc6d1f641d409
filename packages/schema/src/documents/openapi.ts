import { z } from 'zod'
import {
  ChatCompletion,
  ChatCompletionChunk,
  Completion,
  ErrorBody,
  ModelList,
} from '../answers.ts'
import { ChatBody, CompletionBody, ModelCard } from '../api.ts'
import { type ErrorCode, errors } from '../errors.ts'
import { limits } from '../limits.ts'
import { type JsonObject, schemasOf } from './schemas.ts'

const components = z.registry<{ id: string }>()
for (const [id, schema] of Object.entries({
  ChatBody,
  ChatCompletion,
  ChatCompletionChunk,
  CompletionBody,
  Completion,
  ModelCard,
  ModelList,
  ErrorBody,
})) {
  components.add(schema, { id })
}

const ref = (name: string) => ({ $ref: `#/components/schemas/${name}` })
const json = (name: string) => ({ 'application/json': { schema: ref(name) } })

const failures = (codes: readonly ErrorCode[]) => {
  const statuses = new Set(codes.map((code) => errors[code].httpStatus))
  return Object.fromEntries(
    [...statuses].map((status) => {
      const meant = codes.filter((code) => errors[code].httpStatus === status)
      const mayRetryLater = status === 429 || status === 503
      return [
        String(status),
        {
          description: `error.code is ${meant.join(', ')}; docs/failures.md says what to do.`,
          ...(mayRetryLater
            ? {
                headers: {
                  'Retry-After': { schema: { type: 'integer' }, description: 'Seconds to wait.' },
                },
              }
            : {}),
          content: json('ErrorBody'),
        },
      ]
    }),
  )
}

const readFailures: readonly ErrorCode[] = ['unauthenticated', 'forbidden', 'internal']
const generateFailures: readonly ErrorCode[] = [
  ...readFailures,
  'invalid_request',
  'context_length_exceeded',
  'model_not_found',
  'payload_too_large',
  'adapter_invalid',
  'adapter_incompatible',
  'quota_exceeded',
  'overloaded',
  'unavailable',
  'deadline_exceeded',
]

const generation = (name: string, summary: string, body: string, whole: string, chunk: string) => ({
  post: {
    operationId: name,
    summary,
    description:
      'With `stream` the answer is server-sent events: one `data:` line of JSON a chunk, the last one `data: [DONE]`. A stream that fails sends an ErrorBody and ends without it.',
    requestBody: {
      required: true,
      description: `At most ${limits.requestBodyBytes} bytes. Unknown fields are refused by name.`,
      content: json(body),
    },
    responses: {
      '200': {
        description: 'The answer.',
        headers: {
          'x-request-id': { schema: { type: 'string' }, description: 'Names the call in logs.' },
          'x-punica-node': { schema: { type: 'string' }, description: 'Where it ran last.' },
        },
        content: { ...json(whole), 'text/event-stream': { schema: ref(chunk) } },
      },
      ...failures(generateFailures),
    },
  },
})

/** The HTTP face of the gateway as an OpenAPI 3.1 document, made from the schemas that check it. */
export const openApiDocument = (): JsonObject => ({
  openapi: '3.1.0',
  info: {
    title: 'Punica',
    version: '1',
    description:
      "OpenAI's completions and chat completions over every adapter that a tenant may use. `model` is `adapter`, `tenant/adapter`, `adapter@version` or the base model.",
    license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
  },
  servers: [{ url: '/' }],
  security: [{ apiKey: [] }],
  paths: {
    '/v1/chat/completions': generation(
      'createChatCompletion',
      'Answers a conversation.',
      'ChatBody',
      'ChatCompletion',
      'ChatCompletionChunk',
    ),
    '/v1/completions': generation(
      'createCompletion',
      'Continues a text.',
      'CompletionBody',
      'Completion',
      'Completion',
    ),
    '/v1/models': {
      get: {
        operationId: 'listModels',
        summary: 'The base model and the adapters that the key may use.',
        responses: {
          '200': { description: 'All of them.', content: json('ModelList') },
          ...failures(readFailures),
        },
      },
    },
    '/v1/models/{model}': {
      get: {
        operationId: 'findModel',
        summary: 'One of them.',
        parameters: [{ name: 'model', in: 'path', required: true, schema: { type: 'string' } }],
        responses: {
          '200': { description: 'The model.', content: json('ModelCard') },
          ...failures([...readFailures, 'model_not_found']),
        },
      },
    },
  },
  components: {
    securitySchemes: { apiKey: { type: 'http', scheme: 'bearer' } },
    schemas: schemasOf(components, (id) => `#/components/schemas/${id}`),
  },
})
