import {
  type ChatBody,
  type CompletionBody,
  type ModelCard,
  toInvalidRequest,
} from '@punica/schema'
import type { Tokenizer } from '@punica/tokenizer'
import type { z } from 'zod'
import { authenticate } from './catalog/authenticate.ts'
import type { Catalog } from './catalog/catalog.ts'
import type { KeyUse } from './catalog/key-use.ts'
import { findModel, listModels, resolveModel } from './catalog/resolve.ts'
import type { Watch } from './measure.ts'
import { type Plan, planChat, planCompletion } from './prompts/plan.ts'
import type { Call, CallEvent, Calls } from './requests/calls.ts'

/** What both faces of the gateway can do; each of its errors is an AppError for the client. */
export type Gateway = {
  authenticate(apiKey: string): { tenant: string }
  /** Throws before the call has begun; afterwards its events tell. */
  begin(call: NewCall, listener: (event: CallEvent) => void): Call
  listModels(tenant: string): ModelCard[]
  findModel(tenant: string, id: string): ModelCard
}

export type NewCall = {
  requestId: string
  tenant: string
  /** The trace that the client says it is a part of. */
  traceparent?: string | undefined
} & Body

export type Body = { type: 'chat'; body: ChatBody } | { type: 'completion'; body: CompletionBody }

export type GatewayDeps = {
  catalog: Catalog
  calls: Pick<Calls, 'start'>
  keyUse: Pick<KeyUse, 'note'>
  tokenizer: Tokenizer
  baseModel: string
  clock: () => number
  /** Begins to follow a call, for metrics and traces. */
  watch: (call: NewCall) => Watch
}

export const createGateway = (deps: GatewayDeps): Gateway => {
  const { catalog, calls, keyUse, tokenizer, baseModel, clock, watch } = deps

  const toPlan = (call: NewCall): Plan => {
    const { requestId, tenant } = call
    const model = resolveModel(catalog, call.body.model, { tenant, baseModel, requestId })
    const common = { requestId, tenant, model, tokenizer }
    return call.type === 'chat'
      ? planChat({ ...common, body: call.body })
      : planCompletion({ ...common, body: call.body })
  }

  return {
    authenticate: (apiKey) => {
      const known = authenticate(catalog, apiKey, clock())
      keyUse.note(apiKey)
      return known
    },
    begin: (call, listener) => {
      const watched = watch(call)
      try {
        const plan = watched.during('tokenise', () => toPlan(call))
        watched.planned({ ...plan, numPromptTokens: plan.promptTokens.length })
        const { cancel, fail } = calls.start(plan, watched.span, (event) => {
          watched.observe(event)
          listener(event)
        })
        const cancelWatched = (): void => {
          watched.cancelled()
          cancel()
        }
        return { cancel: cancelWatched, fail }
      } catch (cause) {
        watched.refused(cause)
        throw cause
      }
    },
    listModels: (tenant) => listModels(catalog, { tenant, baseModel }),
    findModel: (tenant, id) => findModel(catalog, id, { tenant, baseModel }),
  }
}

/** Parses what a client sent. Throws `invalid_request` naming the first field that is wrong. */
export const parseBody = <T>(schema: z.ZodType<T>, body: unknown): T => {
  const parsed = schema.safeParse(body)
  if (!parsed.success) throw toInvalidRequest(parsed.error)
  return parsed.data
}
