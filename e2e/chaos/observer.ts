import { connectBus } from '@punica/bus'
import { channels, type Decision, type NodeStatus } from '@punica/schema'
import type { System } from '../support/system.ts'

/** A node that has said nothing for this long is taken for dead here. */
const freshMs = 1_500

/** When a leader with a newer epoch was heard first, and when it first decided about a request. */
type Reign = { epoch: number; announcedMs: number; decidedMs: number | null }

/**
 * What the pool says of itself on NATS. Some of it is lost with each end of the NATS server, so
 * counts are lower bounds.
 */
export const observePool = async ({ cluster }: Pick<System, 'cluster'>) => {
  const bus = await connectBus({
    url: cluster.natsUrl,
    credentialsFile: cluster.operatorCredentials,
  })
  const nodes = new Map<string, { status: NodeStatus; heardMs: number }>()
  const reigns: Reign[] = []
  const decisions = new Map<Decision['kind'], number>()
  const listeners = new Set<(status: NodeStatus) => void>()
  let numEvictions = 0
  let numPressed = 0
  let wakers: (() => void)[] = []

  const wake = (): void => {
    for (const resolve of wakers.splice(0)) resolve()
  }

  bus.subscribe(channels.nodeEvents('default'), (event) => {
    if (event.type === 'status') {
      nodes.set(event.status.nodeId, { status: event.status, heardMs: performance.now() })
      for (const listener of listeners) listener(event.status)
    } else if (event.type === 'ended' && event.reason === 'evicted') {
      if (event.byPressure) numPressed++
      else numEvictions++
    }
    wake()
  })
  bus.subscribe(channels.leader('default'), ({ epoch }) => {
    if (epoch <= (reigns.at(-1)?.epoch ?? 0)) return
    reigns.push({ epoch, announcedMs: performance.now(), decidedMs: null })
    wake()
  })
  bus.subscribe(channels.decisions('default'), ({ kind }) => {
    decisions.set(kind, (decisions.get(kind) ?? 0) + 1)
    const reign = reigns.at(-1)
    if (reign?.decidedMs === null && (kind === 'place' || kind === 'move')) {
      reign.decidedMs = performance.now()
    }
  })
  await bus.flush()

  return {
    bus,
    reigns,
    onStatus: (listener: (status: NodeStatus) => void) => {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
    /** Requests that left a node because they were told to. */
    numMoves: () => numEvictions,
    /** And those that left for want of KV pages. */
    numPressed: () => numPressed,
    numDecisions: (kind: Decision['kind']) => decisions.get(kind) ?? 0,
    readyNodes: (): string[] =>
      [...nodes.values()]
        .filter(({ status, heardMs }) => {
          return status.state === 'ready' && performance.now() - heardMs < freshMs
        })
        .map(({ status }) => status.nodeId),
    /** Resolves when it holds; looked at whenever the pool says something. */
    until: async (holds: () => boolean): Promise<void> => {
      while (!holds()) await new Promise<void>((resolve) => wakers.push(resolve))
    },
    close: async () => {
      wakers = []
      await bus.close()
    },
  }
}

export type Observer = Awaited<ReturnType<typeof observePool>>
