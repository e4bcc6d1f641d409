import type { Bus } from '@punica/bus'
import { channels, type GatewayEvent, type ReplayRequest, type TokenBatch } from '@punica/schema'
import type { Logger, Refusals } from '@punica/service'
import { createNodeStreams, type StreamAction } from './node-streams.ts'
import type { SequenceEvent } from './sequence.ts'

/** What nodes and the router send to this gateway, as events of the sequences that it is about. */
export type Inbox = {
  /** When something came of this node (process) last; 0: never. */
  heardMs(node: string): number
  close(): void
}

export type InboxDeps = {
  bus: Pick<Bus, 'request' | 'subscribe'>
  log: Logger
  refusals: Pick<Refusals, 'refuse'>
  pool: string
  gatewayId: string
  clock: () => number
  /** `node` (process): whose message it was, where it was a node's. */
  onEvent: (requestId: string, event: SequenceEvent, node?: string) => void
  /** Another router leads the pool. */
  onLeader: (epoch: number) => void
  /** Messages of this node (process) are missing for good. */
  onLost: (node: string) => void
}

const replayTimeoutMs = 2_000

export const openInbox = (deps: InboxDeps): Inbox => {
  const { bus, log, refusals, pool, gatewayId, clock, onEvent, onLeader, onLost } = deps
  const streams = createNodeStreams()
  let newestEpoch = 0
  const stops = [
    bus.subscribe(channels.tokens(gatewayId), (batch) => act(streams.receive(batch, clock()))),
    bus.subscribe(channels.gatewayEvents(gatewayId), onGatewayEvent),
    bus.subscribe(channels.leader(pool), ({ epoch }) => {
      if (epoch < newestEpoch) refusals.refuse(channels.leader(pool).subject, 'stale_epoch')
      if (epoch <= newestEpoch) return
      newestEpoch = epoch
      onLeader(epoch)
    }),
  ]
  return {
    heardMs: streams.heardMs,
    close: () => {
      for (const stop of stops) stop()
    },
  }

  function onGatewayEvent({ epoch, requestId, attempt, ...event }: GatewayEvent): void {
    // Said by a router that did not know yet that it had been replaced.
    if (epoch < newestEpoch) {
      refusals.refuse(channels.gatewayEvents(gatewayId).subject, 'stale_epoch')
      return
    }
    if (event.type === 'rejected') {
      onEvent(requestId, { type: 'refused', attempt, error: event.error })
    } else onEvent(requestId, { type: 'interrupted', attempt })
  }

  function act(actions: readonly StreamAction[]): void {
    for (const action of actions) {
      switch (action.type) {
        case 'deliver':
          deliver(action.node, action.batch)
          break
        case 'replay':
          void replay(action.nodeId, { gatewayId, ...action.request })
          break
        case 'refuse':
          refusals.refuse(channels.tokens(gatewayId).subject, action.reason)
          break
        case 'lost':
          log.warn({ node: action.node }, 'messages of a node lost')
          onLost(action.node)
      }
    }
  }

  function deliver(node: string, { nodeId, numAdapters, tokens, ends }: TokenBatch): void {
    const from = { node, nodeId, numAdapters }
    for (const { requestId, ...token } of tokens) {
      onEvent(requestId, { type: 'token', ...token, from }, node)
    }
    for (const { requestId, ...end } of ends) onEvent(requestId, { type: 'ended', ...end }, node)
  }

  async function replay(nodeId: string, request: ReplayRequest): Promise<void> {
    const reply = await bus
      .request(channels.replay(nodeId), request, { timeoutMs: replayTimeoutMs })
      .catch((err: unknown) => {
        log.warn({ err, nodeId }, 'replay failed')
        return null
      })
    act(streams.replayed({ nodeId, incarnation: request.incarnation }, reply))
  }
}
