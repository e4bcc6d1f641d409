import type { Bus, Delivery } from '@punica/bus'
import {
  type AbortCall,
  ApiEvent,
  AppError,
  ChatBody,
  CompletionBody,
  channels,
  type GenerateMessage,
  limits,
  type ModelsCall,
  type ModelsReply,
  tenantInboxPrefix,
  toAppError,
  toWireError,
} from '@punica/schema'
import type { Logger } from '@punica/service'
import { type Body, type Gateway, parseBody } from '../gateway.ts'
import { type TokenNames, toLogprobs } from '../logprobs.ts'
import type { Call, CallEvent } from '../requests/calls.ts'

export type NatsFaceDeps = {
  bus: Pick<Bus, 'reply' | 'serve' | 'subscribe'>
  gateway: Pick<Gateway, 'authenticate' | 'begin' | 'listModels'>
  log: Logger
  names: TokenNames
  newRequestId: () => string
}

export type NatsFace = {
  /** Leaves new calls to other gateways; those under way can still be aborted. */
  stopAccepting(): void
  close(): void
}

/** The members of this queue share the calls; an abort goes to all, as one of them has the call. */
const queue = 'gateways'

/**
 * The NATS face: the same calls as over HTTP. The tenant is in the subject, which the server lets
 * only that tenant's credentials publish to; the key must be the same tenant's, and answers go only
 * below that tenant's inboxes.
 */
export const openNatsFace = (deps: NatsFaceDeps): NatsFace => {
  const { bus, gateway } = deps
  /** By tenant and the caller's id. */
  const running = new Map<string, Running>()

  const onAbort = ({ id, apiKey }: AbortCall, { subject }: Delivery): void => {
    const tenant = tenantOf(subject)
    const key = callKey(tenant, id)
    const own = running.get(key)
    if (own === undefined) return
    checkKey(gateway, tenant, apiKey)
    own.call.fail(new AppError('cancelled', 'The call was aborted'))
  }
  const stopGenerate = bus.subscribe(
    channels.generate('*'),
    (message, delivery) => generate(deps, running, message, delivery),
    { queue },
  )
  const stopModels = bus.serve(
    channels.models('*'),
    (call, delivery) => models(gateway, call, delivery),
    { queue },
  )
  const stopAbort = bus.subscribe(channels.abort('*'), onAbort)
  const heartbeat = setInterval(() => {
    for (const own of running.values()) own.beat()
  }, limits.heartbeatMs)
  const stopAccepting = (): void => {
    stopGenerate()
    stopModels()
  }
  return {
    stopAccepting,
    close: () => {
      stopAccepting()
      stopAbort()
      clearInterval(heartbeat)
    },
  }
}

type Running = {
  call: Call
  /** Says that the call is alive, unless something else was said since the last beat. */
  beat(): void
}

const generate = (
  { bus, gateway, log, names, newRequestId }: NatsFaceDeps,
  running: Map<string, Running>,
  message: GenerateMessage,
  { subject, replyTo, traceparent }: Delivery,
): void => {
  const tenant = tenantOf(subject)
  if (!isInboxOf(tenant, replyTo)) {
    log.debug({ tenant, replyTo }, 'call without an inbox of its tenant dropped')
    return
  }
  let seq = 0
  let hasSpoken = false
  const say = (event: Unnumbered): void => {
    hasSpoken = true
    bus.reply(replyTo, ApiEvent, { ...event, seq: seq++ })
  }
  const beat = (): void => {
    if (!hasSpoken) say({ type: 'alive' })
    hasSpoken = false
  }
  try {
    checkKey(gateway, tenant, message.apiKey)
    const parsed = parseCall(message)
    const key = callKey(tenant, message.id)
    if (running.has(key)) {
      throw new AppError('conflict', `id: a call ${message.id} is under way`, { param: 'id' })
    }
    const { model, logprobs } = parsed.body
    const namesAsked = logprobs == null || logprobs === false ? null : names
    const call = gateway.begin(
      { requestId: newRequestId(), tenant, traceparent, ...parsed },
      (event) => {
        if (event.type === 'done' || event.type === 'failed') running.delete(key)
        say(toApiEvent(event, model, namesAsked))
      },
    )
    running.set(key, { call, beat })
  } catch (cause) {
    if (toAppError(cause).code === 'internal') log.error({ err: cause, tenant }, 'call failed')
    say({ type: 'error', error: toWireError(cause) })
  }
}

const models = (
  gateway: NatsFaceDeps['gateway'],
  { apiKey }: ModelsCall,
  { subject, replyTo }: Delivery,
): ModelsReply => {
  const tenant = tenantOf(subject)
  if (!isInboxOf(tenant, replyTo)) throw new AppError('forbidden', 'Not an inbox of the tenant')
  try {
    checkKey(gateway, tenant, apiKey)
    return { type: 'models', data: gateway.listModels(tenant) }
  } catch (cause) {
    return { type: 'error', error: toWireError(cause) }
  }
}

/** punica.v1.<tenant>.<call> */
const tenantOf = (subject: string): string => subject.split('.')[2] ?? ''

const isInboxOf = (tenant: string, replyTo: string): boolean =>
  replyTo.startsWith(`${tenantInboxPrefix(tenant)}.`)

const callKey = (tenant: string, id: string): string => `${tenant} ${id}`

const checkKey = (gateway: Pick<Gateway, 'authenticate'>, tenant: string, apiKey: string): void => {
  if (gateway.authenticate(apiKey).tenant === tenant) return
  throw new AppError('forbidden', `The API key belongs to another tenant than ${tenant}`)
}

const parseCall = ({ type, body }: GenerateMessage): Body =>
  type === 'chat'
    ? { type, body: parseBody(ChatBody, body) }
    : { type, body: parseBody(CompletionBody, body) }

type WithoutSeq<E> = E extends unknown ? Omit<E, 'seq'> : never
type Unnumbered = WithoutSeq<ApiEvent>

const toApiEvent = (event: CallEvent, model: string, names: TokenNames | null): Unnumbered => {
  switch (event.type) {
    case 'accepted':
      return { type: 'accepted', model }
    case 'delta': {
      const { choice, text, numTokens, from, details } = event
      const { nodeId, numAdapters } = from
      const logprobs = names === null ? {} : { logprobs: toLogprobs(names, details) }
      return { type: 'delta', choice, text, numTokens, nodeId, numAdapters, ...logprobs }
    }
    case 'finished':
      return { type: 'finished', choice: event.choice, reason: event.reason }
    case 'done':
      return event
    case 'failed':
      return { type: 'error', error: event.error }
  }
}
