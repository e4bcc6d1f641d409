import type { UsageEvent } from '@punica/schema'

/** How far a call has been counted. */
export type Mark = { completionTokens: number; final: boolean; markedAtMs: number }

/** What is to be added to one hour of a tenant's use of an adapter. */
export type Addition = {
  tenant: string
  /** Empty: the base model alone. */
  adapterDigest: string
  hourMs: number
  requests: number
  promptTokens: number
  completionTokens: number
  /** Calls that ended here and said how long they took, and the sums over these. */
  timedRequests: number
  firstTokenMs: number
  generationMs: number
  /** From one token to the next. */
  tokenGaps: number
}

export type Growth = {
  /** Of the calls that the events are about. */
  marks: Map<string, Mark>
  additions: Addition[]
}

const hourLengthMs = 3600_000

/**
 * What events add beyond the marks, and the marks after them. A call's events are cumulative, so
 * only what exceeds its mark is added: a repeated event adds nothing, and neither does an older one
 * that comes late. The prompt is paid for once.
 */
export const grow = (
  before: ReadonlyMap<string, Mark>,
  events: readonly { value: UsageEvent; timeMs: number }[],
): Growth => {
  const marks = new Map<string, Mark>()
  const additions = new Map<string, Addition>()
  for (const { value: event, timeMs } of events) {
    const mark = marks.get(event.requestId) ?? before.get(event.requestId)
    const counted = mark?.completionTokens ?? 0
    const addition = additionOf(additions, event)
    if (mark === undefined) {
      addition.requests++
      addition.promptTokens += event.promptTokens
    }
    addition.completionTokens += Math.max(0, event.completionTokens - counted)
    if (event.final && event.latency !== undefined && mark?.final !== true) {
      addition.timedRequests++
      addition.firstTokenMs += event.latency.firstTokenMs
      addition.generationMs += event.latency.generationMs
      addition.tokenGaps += Math.max(0, event.completionTokens - 1)
    }
    marks.set(event.requestId, {
      completionTokens: Math.max(counted, event.completionTokens),
      final: event.final || mark?.final === true,
      markedAtMs: timeMs,
    })
  }
  return { marks, additions: [...additions.values()].filter(isAnything) }
}

const additionOf = (additions: Map<string, Addition>, event: UsageEvent): Addition => {
  const { tenant, adapterDigest, timeMs } = event
  const hourMs = timeMs - (timeMs % hourLengthMs)
  const key = `${tenant} ${adapterDigest} ${hourMs}`
  const addition = additions.get(key) ?? {
    tenant,
    adapterDigest: adapterDigest ?? '',
    hourMs,
    requests: 0,
    promptTokens: 0,
    completionTokens: 0,
    timedRequests: 0,
    firstTokenMs: 0,
    generationMs: 0,
    tokenGaps: 0,
  }
  additions.set(key, addition)
  return addition
}

const isAnything = ({ requests, completionTokens, timedRequests }: Addition): boolean =>
  requests > 0 || completionTokens > 0 || timedRequests > 0
