import type { Bus } from '@punica/bus'
import { channels, type ReplayReply, type ReplayRequest, type TokenBatch } from '@punica/schema'

type Content = Pick<TokenBatch, 'batchSize' | 'numAdapters' | 'tokens' | 'ends'>

/** What was sent to one gateway, and the newest of it for a replay. */
type Stream = { seq: number; kept: TokenBatch[]; weight: number; sentMs: number }

/**
 * About 150 bytes of JSON each, so that even a replay of everything fits one message of
 * `limits.messageBytes`.
 */
const maxWeight = 32_768
const maxBatches = 1_024
/** After this long without a request, a gateway has received all that it will ask for. */
const keptMs = 60_000
/** So long after its last batch, a gateway without requests still gets heartbeats. */
const beatMs = 10_000

type Deps = { bus: Pick<Bus, 'publish'>; nodeId: string; incarnation: string }

/**
 * Numbers the batches for each gateway and keeps the newest, so that a gateway that sees a gap can
 * ask for what it missed. The numbers of a gateway never start again within an incarnation.
 */
export const createTokenOutbox = ({ bus, nodeId, incarnation }: Deps) => {
  const streams = new Map<string, Stream>()

  return {
    send: (gatewayId: string, content: Content, nowMs: number): void => {
      const stream = streams.get(gatewayId) ?? { seq: 0, kept: [], weight: 0, sentMs: 0 }
      streams.set(gatewayId, stream)
      stream.seq++
      stream.sentMs = nowMs
      const batch: TokenBatch = { nodeId, incarnation, seq: stream.seq, ...content }
      keep(stream, batch)
      bus.publish(channels.tokens(gatewayId), batch)
    },

    /**
     * Tells gateways the newest number, so that a lost last batch is noticed too: those that have
     * requests here, and for a while those that had.
     */
    beat: (gatewayIds: ReadonlySet<string>, nowMs: number): void => {
      const awake = new Set(gatewayIds)
      for (const [gatewayId, stream] of streams) {
        const silentMs = nowMs - stream.sentMs
        if (silentMs < beatMs) awake.add(gatewayId)
        if (silentMs < keptMs || awake.has(gatewayId)) continue
        stream.kept = []
        stream.weight = 0
      }
      for (const gatewayId of awake) {
        const seq = streams.get(gatewayId)?.seq ?? 0
        const nothing: Content = { batchSize: 0, numAdapters: 0, tokens: [], ends: [] }
        bus.publish(channels.tokens(gatewayId), { nodeId, incarnation, seq, ...nothing })
      }
    },

    replay: (request: ReplayRequest): ReplayReply => {
      const { gatewayId, fromSeq } = request
      const stream = streams.get(gatewayId)
      if (stream === undefined || request.incarnation !== incarnation) return { type: 'gone' }
      const toSeq = Math.min(request.toSeq, stream.seq)
      const batches = stream.kept.filter(({ seq }) => seq >= fromSeq && seq <= toSeq)
      const isComplete = batches.length === toSeq - fromSeq + 1
      return isComplete ? { type: 'batches', batches } : { type: 'gone' }
    },
  }
}

export type TokenOutbox = ReturnType<typeof createTokenOutbox>

const keep = (stream: Stream, batch: TokenBatch): void => {
  stream.kept.push(batch)
  stream.weight += weigh(batch)
  while (stream.kept.length > maxBatches || stream.weight > maxWeight) {
    const oldest = stream.kept.shift()
    if (oldest === undefined) break
    stream.weight -= weigh(oldest)
  }
}

const weigh = ({ tokens, ends }: TokenBatch): number => {
  let weight = 1 + tokens.length + ends.length
  for (const { logprobs } of tokens) weight += (logprobs?.top.length ?? 0) / 2
  return weight
}
