import type { EndReason, Task } from '@punica/schema'
import type { Attributes, Span, Tracing } from '@punica/service'

/** The spans of one request on this node: it waits for its adapter, is prefilled, and decodes. */
export type RequestTrace = {
  loading(): void
  /** The engine has it. */
  started(): void
  firstToken(): void
  ended(reason: EndReason, numGenerated: number): void
}

/** `parent` is the traceparent of the router's placement. */
export const traceRequest = (
  tracing: Tracing,
  { requestId, attempt, tenant, adapter, tokens, numPromptTokens }: Task,
  parent: string | undefined,
): RequestTrace => {
  const common: Attributes = {
    'punica.request_id': requestId,
    'punica.attempt': attempt,
    'punica.tenant': tenant,
    ...(adapter === null ? {} : { 'punica.adapter_digest': adapter.digest }),
  }
  let span: Span | null = null
  const next = (name: string, attributes: Attributes = {}): void => {
    span?.end()
    span = tracing.start(name, { parent, attributes: { ...common, ...attributes } })
  }
  return {
    loading: () => next('load_adapter', { 'punica.adapter_bytes': adapter?.sizeBytes ?? 0 }),
    started: () => next('prefill', { 'punica.tokens': tokens.length }),
    firstToken: () => next('decode'),
    ended: (reason, numGenerated) => {
      const numNew = numGenerated - (tokens.length - numPromptTokens)
      span?.set({ 'punica.end_reason': reason, 'punica.new_tokens': numNew })
      span?.end(reason === 'error' ? reason : undefined)
    },
  }
}
