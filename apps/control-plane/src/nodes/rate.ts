import type { NodeStatus } from '@punica/schema'

/** New tokens a second, over the last second or a little more. */
export type Rate = { perSecond: number; atMs: number; tokens: number }

const minSpanMs = 1_000

/** What a node's counters say when they are compared with those of a second ago. */
export const measureRate = (
  before: { status: NodeStatus; rate: Rate } | null,
  { incarnation, counters }: NodeStatus,
  nowMs: number,
): Rate => {
  const { generatedTokens: tokens } = counters
  // A process that has started anew counts from zero.
  if (before === null || before.status.incarnation !== incarnation) {
    return { perSecond: 0, atMs: nowMs, tokens }
  }
  const spanMs = nowMs - before.rate.atMs
  if (spanMs < minSpanMs) return before.rate
  const numNew = Math.max(0, tokens - before.rate.tokens)
  return { perSecond: (1000 * numNew) / spanMs, atMs: nowMs, tokens }
}
