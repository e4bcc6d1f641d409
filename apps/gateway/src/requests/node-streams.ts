import type { ReplayReply, ReplayRequest, TokenBatch } from '@punica/schema'

/** What to do with what a node sent, in this order. */
export type StreamAction =
  | { type: 'deliver'; node: string; batch: TokenBatch }
  /** Batches are missing: ask the node for them. */
  | { type: 'replay'; nodeId: string; request: Omit<ReplayRequest, 'gatewayId'> }
  /** Batches of this node (process) are missing for good. */
  | { type: 'lost'; node: string }
  /** It is of a process whose place another has taken. */
  | { type: 'refuse'; reason: 'stale_incarnation' }

export type NodeStreams = {
  receive(batch: TokenBatch, nowMs: number): StreamAction[]
  /** The answer to a replay; null when there was none. */
  replayed(
    asked: { nodeId: string; incarnation: string },
    reply: ReplayReply | null,
  ): StreamAction[]
  /** When something came of this node (process) last; 0: never. */
  heardMs(node: string): number
}

/** Batches held back while earlier ones are asked for; more than these are given up. */
const maxHeld = 1_024
/** Nodes remembered; of the rest the one heard longest ago is forgotten. */
const maxNodes = 1_024
/** Processes of one node that are remembered once they have been replaced. */
const maxPast = 8

type Stream = {
  incarnation: string
  /** Those before it, newest first; what still comes of them is not looked at. */
  past: readonly string[]
  /** The number that the next batch must have. */
  next: number
  /** Came too early, by number. */
  held: Map<number, TokenBatch>
  /** What has been asked for; null when no replay is under way. */
  asked: { fromSeq: number; toSeq: number } | null
  heardMs: number
}

/** One process of a node, in one word. */
const nodeKey = (nodeId: string, incarnation: string): string => `${nodeId}:${incarnation}`

export const nodeIdOf = (node: string): string => node.slice(0, node.indexOf(':'))

/** Puts the numbered batches of each node in order and notices which are missing; no I/O. */
export const createNodeStreams = (): NodeStreams => {
  const streams = new Map<string, Stream>()

  return {
    heardMs: (node) => {
      const nodeId = nodeIdOf(node)
      const stream = streams.get(nodeId)
      if (stream === undefined || nodeKey(nodeId, stream.incarnation) !== node) return 0
      return stream.heardMs
    },

    receive: (batch, nowMs) => {
      const { nodeId, incarnation, seq } = batch
      const before = streams.get(nodeId)
      if (before?.past.includes(incarnation)) {
        return [{ type: 'refuse', reason: 'stale_incarnation' }]
      }
      const stream =
        before?.incarnation === incarnation ? before : createStream(incarnation, before)
      // Deleted and set again, the streams lie in the order in which they were heard.
      streams.delete(nodeId)
      streams.set(nodeId, stream)
      stream.heardMs = nowMs
      forgetOldest()
      if (isHeartbeat(batch)) return askFor(nodeId, stream, seq + 1)
      if (seq >= stream.next) stream.held.set(seq, batch)
      return drain(nodeId, stream)
    },

    replayed: ({ nodeId, incarnation }, reply) => {
      const stream = streams.get(nodeId)
      if (stream?.incarnation !== incarnation) return []
      for (const batch of reply?.type === 'batches' ? reply.batches : []) {
        if (batch.seq >= stream.next) stream.held.set(batch.seq, batch)
      }
      const delivered = deliverInOrder(nodeId, stream)
      if (stream.next > (stream.asked?.fromSeq ?? 0)) {
        stream.asked = null
        return [...delivered, ...askForHeld(nodeId, stream)]
      }
      return giveUp(nodeId, stream)
    },
  }

  function forgetOldest(): void {
    const oldest = streams.size > maxNodes ? streams.keys().next().value : undefined
    if (oldest !== undefined) streams.delete(oldest)
  }
}

const createStream = (incarnation: string, before?: Stream): Stream => ({
  incarnation,
  past: before === undefined ? [] : [before.incarnation, ...before.past].slice(0, maxPast),
  next: 1,
  held: new Map(),
  asked: null,
  heardMs: 0,
})

const isHeartbeat = ({ tokens, ends }: TokenBatch): boolean =>
  tokens.length === 0 && ends.length === 0

const drain = (nodeId: string, stream: Stream): StreamAction[] => {
  const delivered = deliverInOrder(nodeId, stream)
  if (stream.held.size > maxHeld) return [...delivered, ...giveUp(nodeId, stream)]
  return [...delivered, ...askForHeld(nodeId, stream)]
}

const deliverInOrder = (nodeId: string, stream: Stream): StreamAction[] => {
  const actions: StreamAction[] = []
  const node = nodeKey(nodeId, stream.incarnation)
  for (let batch = stream.held.get(stream.next); batch !== undefined; ) {
    stream.held.delete(stream.next)
    stream.next++
    actions.push({ type: 'deliver', node, batch })
    batch = stream.held.get(stream.next)
  }
  return actions
}

const askForHeld = (nodeId: string, stream: Stream): StreamAction[] =>
  stream.held.size === 0 ? [] : askFor(nodeId, stream, Math.min(...stream.held.keys()))

/** Asks for what lies before `end`, unless that is under way or nothing does. */
const askFor = (nodeId: string, stream: Stream, end: number): StreamAction[] => {
  if (stream.asked !== null || end <= stream.next) return []
  stream.asked = { fromSeq: stream.next, toSeq: end - 1 }
  const { incarnation, asked } = stream
  return [{ type: 'replay', nodeId, request: { incarnation, ...asked } }]
}

/**
 * Goes on behind the gap. What was held back is not delivered: whatever it is about is submitted
 * again, so that nobody has to know which sequences the missing batches named.
 */
const giveUp = (nodeId: string, stream: Stream): StreamAction[] => {
  stream.next = Math.max(stream.next - 1, stream.asked?.toSeq ?? 0, ...stream.held.keys()) + 1
  stream.asked = null
  stream.held.clear()
  return [{ type: 'lost', node: nodeKey(nodeId, stream.incarnation) }]
}
