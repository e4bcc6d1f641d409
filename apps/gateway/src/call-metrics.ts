import type { ErrorCode } from '@punica/schema'
import { createTopLabels, type Metrics, otherLabel } from '@punica/service'

/** Whose call it is and what for; `adapter` is `tenant/name`, or empty for the base model alone. */
type Of = { endpoint: string; tenant: string; adapter: string }

/** Tenants, and adapters, that have series of their own. */
const maxLabels = 50
const windowMs = 60_000

/** What calls come to: outcomes, tokens and latency, by tenant and adapter. */
export const createCallMetrics = (
  metrics: Pick<Metrics, 'counter' | 'histogram'>,
  clock: () => number,
) => {
  const outcomes = metrics.counter({
    name: 'punica_gateway_calls_total',
    help: 'Calls that ended, by endpoint and outcome (ok or an error code)',
    labelNames: ['endpoint', 'outcome'],
  })
  const tenantCalls = metrics.counter({
    name: 'punica_gateway_tenant_calls_total',
    help: 'Calls that ended, by tenant and outcome; `_other` are those with fewer',
    labelNames: ['tenant', 'outcome'],
  })
  const tenantTokens = metrics.counter({
    name: 'punica_gateway_tokens_total',
    help: 'Tokens that clients pay for, by tenant and kind (prompt or completion)',
    labelNames: ['tenant', 'kind'],
  })
  const adapterTokens = metrics.counter({
    name: 'punica_gateway_adapter_tokens_total',
    help: 'Tokens that clients pay for, by adapter (tenant/name; empty: the base model) and kind',
    labelNames: ['adapter', 'kind'],
  })
  const tenantFirst = metrics.histogram({
    name: 'punica_gateway_time_to_first_token_seconds',
    help: 'From the beginning of a call to the first piece of its answer, by tenant',
    labelNames: ['tenant'],
    buckets: [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60],
  })
  const tenantGaps = metrics.histogram({
    name: 'punica_gateway_inter_token_seconds',
    help: 'Between two tokens of an answer as they were handed to its client, by tenant',
    labelNames: ['tenant'],
    buckets: [0.002, 0.005, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075, 0.1, 0.2, 0.5, 2],
  })
  const adapterFirst = metrics.histogram({
    name: 'punica_gateway_adapter_time_to_first_token_seconds',
    help: 'From the beginning of a call to the first piece of its answer, by adapter',
    labelNames: ['adapter'],
    buckets: [0.05, 0.1, 0.25, 0.5, 1, 2.5, 10],
  })

  const tenantOf = createTopLabels({
    max: maxLabels,
    windowMs,
    clock,
    onDropped: (tenant) => {
      for (const kind of tokenKinds) tenantTokens.remove({ tenant, kind })
      tenantFirst.remove({ tenant })
      tenantGaps.remove({ tenant })
      for (const outcome of outcomesOf.get(tenant) ?? []) tenantCalls.remove({ tenant, outcome })
      outcomesOf.delete(tenant)
    },
  })
  const adapterOf = createTopLabels({
    max: maxLabels,
    windowMs,
    clock,
    onDropped: (adapter) => {
      for (const kind of tokenKinds) adapterTokens.remove({ adapter, kind })
      adapterFirst.remove({ adapter })
    },
  })
  /** The outcomes that a labelled tenant has series of. */
  const outcomesOf = new Map<string, Set<string>>()

  const countTenantCall = (label: string, outcome: string): void => {
    tenantCalls.inc({ tenant: label, outcome })
    if (label === otherLabel) return
    outcomesOf.set(label, (outcomesOf.get(label) ?? new Set()).add(outcome))
  }

  return {
    firstToken: ({ tenant, adapter }: Of, ms: number): void => {
      tenantFirst.observe({ tenant: tenantOf(tenant) }, ms / 1_000)
      adapterFirst.observe({ adapter: adapterOf(adapter) }, ms / 1_000)
    },
    tokenGap: ({ tenant }: Of, ms: number): void => {
      tenantGaps.observe({ tenant: tenantOf(tenant) }, ms / 1_000)
    },
    tokens: ({ tenant, adapter }: Of, kind: TokenKind, numTokens: number): void => {
      tenantTokens.inc({ tenant: tenantOf(tenant), kind }, numTokens)
      adapterTokens.inc({ adapter: adapterOf(adapter), kind }, numTokens)
    },
    end: ({ endpoint, tenant }: Of, outcome: ErrorCode | 'ok'): void => {
      outcomes.inc({ endpoint, outcome })
      countTenantCall(tenantOf(tenant), outcome)
    },
  }
}

const tokenKinds = ['prompt', 'completion'] as const
type TokenKind = (typeof tokenKinds)[number]
