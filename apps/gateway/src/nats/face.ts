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
import type { Logger, Refusals } from '@punica/service'
import { type Body, type Gateway, parseBody } from '../gateway.ts'
import { type TokenNames, toLogprobs } from '../logprobs.ts'
import type { Call, CallEvent } from '../requests/calls.ts'

export type NatsFaceDeps = {
  bus: Pick<Bus, 'reply' | 'subscribe'>
  gateway: Pick<Gateway, 'authenticate' | 'begin' | 'listModels'>
  log: Logger
  refusals: Pick<Refusals, 'refuse'>
  names: TokenNames
  newRequestId: () => string
}

export type NatsFace = {
  /** Leaves new calls to other gateways; those under way can still be aborted. */
  stopAccepting(): void
  close(): void
}

/** Of what carries no prompt. */
const maxSmallBytes = 4 * 1024

/** The members of this queue share the calls; an abort goes to all, as one of them has the call. */
const queue = 'gateways'

/**
 * The NATS face: the same calls as over HTTP. The tenant is in the subject, which the server lets
 * only that tenant's credentials publish to; the key must be the same tenant's, and answers go only
 * below that tenant's inboxes.
 */
export const openNatsFace = (deps: NatsFaceDeps): NatsFace => {
  const { bus } = deps
  /** By tenant and the caller's id. */
  const running = new Map<string, Running>()

  const onAbort = ({ id, apiKey }: AbortCall, delivery: Delivery): void => {
    const key = callKey(tenantOf(delivery.subject), id)
    const own = running.get(key)
    if (own === undefined) return
    if (!isKeyGood(deps, delivery, apiKey)) return
    own.call.fail(new AppError('cancelled', 'The call was aborted'))
  }
  const stopGenerate = bus.subscribe(
    channels.generate('*'),
    (message, delivery) => generate(deps, running, message, delivery),
    { queue, maxBytes: limits.requestBodyBytes, onOversized: sayTooLarge(deps) },
  )
  const { subject, request, reply } = channels.models('*')
  const stopModels = bus.subscribe(
    { subject, schema: request },
    (call, delivery) => {
      if (isAnswerable(deps, delivery)) {
        bus.reply(delivery.replyTo, reply, models(deps, call, delivery))
      }
    },
    { queue, maxBytes: maxSmallBytes },
  )
  const stopAbort = bus.subscribe(channels.abort('*'), onAbort, { maxBytes: maxSmallBytes })
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
  deps: NatsFaceDeps,
  running: Map<string, Running>,
  message: GenerateMessage,
  delivery: Delivery,
): void => {
  if (!isAnswerable(deps, delivery)) return
  const { bus, gateway, log, names, newRequestId } = deps
  const { subject, replyTo, traceparent } = delivery
  const tenant = tenantOf(subject)
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
    checkKey(deps, delivery, message.apiKey)
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

const models = (deps: NatsFaceDeps, { apiKey }: ModelsCall, delivery: Delivery): ModelsReply => {
  try {
    checkKey(deps, delivery, apiKey)
    return { type: 'models', data: deps.gateway.listModels(tenantOf(delivery.subject)) }
  } catch (cause) {
    return { type: 'error', error: toWireError(cause) }
  }
}

/** punica.v1.<tenant>.<call> */
const tenantOf = (subject: string): string => subject.split('.')[2] ?? ''

/** Answers go to inboxes of the subject's tenant and nowhere else, whatever a caller names. */
const isAnswerable = (
  { refusals }: Pick<NatsFaceDeps, 'refusals'>,
  { subject, replyTo }: Delivery,
): boolean => {
  if (replyTo.startsWith(`${tenantInboxPrefix(tenantOf(subject))}.`)) return true
  refusals.refuse(subject, 'foreign_inbox')
  return false
}

/** Tells whoever may be told that its call is too large to be looked at. */
const sayTooLarge =
  (deps: NatsFaceDeps) =>
  (delivery: Delivery): void => {
    if (!isAnswerable(deps, delivery)) return
    const error = new AppError(
      'payload_too_large',
      `A call has at most ${limits.requestBodyBytes} bytes; send a shorter prompt`,
    )
    deps.bus.reply(delivery.replyTo, ApiEvent, {
      type: 'error',
      seq: 0,
      error: toWireError(error),
    })
  }

const callKey = (tenant: string, id: string): string => `${tenant} ${id}`

/** Throws what is wrong with the key, having counted it. */
const checkKey = (
  { gateway, refusals }: Pick<NatsFaceDeps, 'gateway' | 'refusals'>,
  { subject }: Pick<Delivery, 'subject'>,
  apiKey: string,
): void => {
  const tenant = tenantOf(subject)
  try {
    if (gateway.authenticate(apiKey).tenant === tenant) return
  } catch (cause) {
    refusals.refuse(subject, 'wrong_key')
    throw cause
  }
  refusals.refuse(subject, 'wrong_key')
  throw new AppError('forbidden', `The API key belongs to another tenant than ${tenant}`)
}

const isKeyGood: (...of: Parameters<typeof checkKey>) => boolean = (...of) => {
  try {
    checkKey(...of)
    return true
  } catch {
    return false
  }
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
