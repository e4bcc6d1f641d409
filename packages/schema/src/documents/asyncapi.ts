import { z } from 'zod'
import { AbortCall, ApiEvent, GenerateCall, ModelsCall, ModelsReply } from '../api.ts'
import { limits } from '../limits.ts'
import { tenantInboxPrefix } from '../permissions.ts'
import { type JsonObject, schemasOf } from './schemas.ts'

const messages = { GenerateCall, AbortCall, ApiEvent, ModelsCall, ModelsReply }
type MessageName = keyof typeof messages

const components = z.registry<{ id: string }>()
for (const [id, schema] of Object.entries(messages)) components.add(schema, { id })

const summaries: { [name in MessageName]: string } = {
  GenerateCall: 'Asks for a generation.',
  AbortCall: 'Ends a generation by the id that its caller gave it.',
  ApiEvent: 'One event of a generation; `seq` counts from 0 without gaps.',
  ModelsCall: 'Asks for the models that the key may use.',
  ModelsReply: 'These, or why not.',
}

const tenant = { tenant: { description: 'The slug of the tenant that the credential is of.' } }

const channel = (name: string, message: MessageName, description: string) => ({
  address: `punica.v1.{tenant}.${name}`,
  description,
  parameters: tenant,
  messages: { [message]: { $ref: `#/components/messages/${message}` } },
})

const inbox = (message: MessageName, description: string) => ({
  address: null,
  description,
  messages: { [message]: { $ref: `#/components/messages/${message}` } },
})

const operation = (
  name: string,
  message: MessageName,
  summary: string,
  reply?: [string, MessageName],
) => ({
  action: 'send',
  summary,
  channel: { $ref: `#/channels/${name}` },
  messages: [{ $ref: `#/channels/${name}/messages/${message}` }],
  ...(reply === undefined
    ? {}
    : {
        reply: {
          address: { location: '$message.header#/reply-to' },
          channel: { $ref: `#/channels/${reply[0]}` },
          messages: [{ $ref: `#/channels/${reply[0]}/messages/${reply[1]}` }],
        },
      }),
})

/** The NATS face of the gateway, as its client sees it, as an AsyncAPI 3.0 document. */
export const asyncApiDocument = (): JsonObject => ({
  asyncapi: '3.0.0',
  info: {
    title: 'Punica over NATS',
    version: '1',
    description: `The calls of the HTTP API over NATS. A credential may publish to its own tenant's subjects and read its own inboxes, \`${tenantInboxPrefix('<tenant>')}.>\`; answers go to the reply subject of the call, which must be such an inbox. A message has at most ${limits.messageBytes} bytes.`,
    license: { name: 'Apache-2.0' },
  },
  defaultContentType: 'application/json',
  channels: {
    generate: channel(
      'generate',
      'GenerateCall',
      'One gateway of those that listen takes the call.',
    ),
    abort: channel(
      'abort',
      'AbortCall',
      'Every gateway hears it; the one that has the call ends it.',
    ),
    models: channel('models', 'ModelsCall', 'Answered by one gateway.'),
    events: inbox(
      'ApiEvent',
      `The reply subject of a GenerateCall. \`done\` or \`error\` is the last event; something comes at least every ${limits.heartbeatMs} ms, so a caller that hears nothing for several times as long may take its gateway for lost and ask again. Events may arrive twice after a reconnect: drop a \`seq\` that was there before.`,
    ),
    modelsReply: inbox('ModelsReply', 'The reply subject of a ModelsCall.'),
  },
  operations: {
    generate: operation('generate', 'GenerateCall', summaries.GenerateCall, ['events', 'ApiEvent']),
    abort: operation('abort', 'AbortCall', summaries.AbortCall),
    models: operation('models', 'ModelsCall', summaries.ModelsCall, ['modelsReply', 'ModelsReply']),
  },
  components: {
    messages: Object.fromEntries(
      Object.entries(summaries).map(([name, summary]) => [
        name,
        { name, summary, payload: { $ref: `#/components/schemas/${name}` } },
      ]),
    ),
    schemas: schemasOf(components, (id) => `#/components/schemas/${id}`),
  },
})
