import { type Bus, connectBus, type NatsOptions } from '@punica/bus'
import {
  type ChatBody,
  type CompletionBody,
  channels,
  fromWireError,
  type ModelCard,
  tenantInboxPrefix,
} from '@punica/schema'
import { type Caller, type GenerateOptions, type GenerationEvent, generate } from './generation.ts'

const MODELS_TIMEOUT_MS = 10_000

/** The NATS face of the API, as one tenant with one API key. */
export type Client = {
  chat(body: ChatBody, options?: GenerateOptions): AsyncGenerator<GenerationEvent, void, undefined>
  complete(
    body: CompletionBody,
    options?: GenerateOptions,
  ): AsyncGenerator<GenerationEvent, void, undefined>
  /** The base model and the adapters that the tenant may use. */
  models(): Promise<ModelCard[]>
}

/** A client over a bus that is open already, and stays open. */
export const createClient = (caller: Caller & { bus: Pick<Bus, 'request'> }): Client => ({
  chat: (body, options) => generate(caller, { type: 'chat', body }, options),
  complete: (body, options) => generate(caller, { type: 'completion', body }, options),
  async models() {
    const { bus, tenant, apiKey } = caller
    const options = { timeoutMs: MODELS_TIMEOUT_MS }
    const answer = await bus.request(channels.models(tenant), { apiKey }, options)
    if (answer.type === 'error') throw fromWireError(answer.error)
    return answer.data
  },
})

export type ConnectOptions = NatsOptions & Pick<Caller, 'tenant' | 'apiKey'>

/**
 * Connects to NATS with a tenant's credential; `close` ends the connection and the calls on it.
 * Rejects with AppError `unavailable` when the server is away or refuses the credential.
 */
export const connectClient = async (
  options: ConnectOptions,
): Promise<Client & { close(): Promise<void> }> => {
  const { tenant, apiKey } = options
  const own = options.credentials ?? options.credentialsFile
  const bus = await connectBus({
    name: `client of ${tenant}`,
    ...(own === undefined ? { inboxPrefix: tenantInboxPrefix(tenant) } : {}),
    ...options,
  })
  return { ...createClient({ bus, tenant, apiKey }), close: bus.close }
}
