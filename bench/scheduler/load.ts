import type { EngineOptions } from './engine.ts'
import { type Lengths, meansOf } from './lengths.ts'

/** What a full batch shares of distinct adapters is small where popularity is skewed. */
const typicalAdapters = 8
const typicalRank = 16

/**
 * Requests per second that one GPU can serve with its batch full, or as full as its memory allows:
 * what "load" is measured against. A step of a full batch makes one token for each sequence, and
 * the prompts that come in meanwhile are taken to cost what their rows do.
 */
export const capacityOf = (engine: EngineOptions, lengths: Lengths): number => {
  const { stepTime, maxBatchSize } = engine
  const means = meansOf(lengths)
  const adapterBytes = typicalAdapters * typicalRank * stepTime.adapterBytesPerRank
  const kvTokens = (stepTime.poolBytes - adapterBytes) / stepTime.kvBytesPerToken
  const batchSize = Math.min(maxBatchSize, kvTokens / means.contextTokens)
  const decodeMs =
    stepTime.fixedMs(batchSize, adapterBytes) +
    batchSize * means.contextTokens * stepTime.msPerKvToken
  const rowMs = (stepTime.fixedMs(1_024, 0) - stepTime.fixedMs(512, 0)) / 512
  const prefillMs = (batchSize / means.outputTokens) * means.promptTokens * rowMs
  return (1e3 * batchSize) / (means.outputTokens * (decodeMs + prefillMs))
}
