import { connectBus } from '@punica/bus'
import { channels, type Decision, type NodeEvent } from '@punica/schema'
import { readStream, type Seen, type StreamSpec } from './streams.ts'
import type { System } from './system.ts'

/** When a stream has so many tokens, and all of them have far to go, the disturbance comes. */
const numTokensBefore = 30

/** Runs the streams at the same time, as clients do that the disturbance must not trouble. */
export const readAll = (system: System, specs: readonly StreamSpec[]): Promise<Seen[]> =>
  Promise.all(specs.map((spec) => readStream(system, spec)))

/**
 * Runs the streams at the same time. In the middle, `disturb` is told the node that made the newest
 * token; what it resolves with is awaited, too.
 */
export const readDisturbed = async <T>(
  system: System,
  specs: readonly StreamSpec[],
  disturb: (nodeId: string) => Promise<T>,
): Promise<{ seen: Seen[]; disturbance: T }> => {
  let disturbance: Promise<T> | undefined
  const onToken = (numTokens: number, nodeId: string): void => {
    if (disturbance !== undefined || numTokens < numTokensBefore) return
    disturbance = disturb(nodeId)
    // It is awaited only after the streams; until then its failure must not end the process.
    disturbance.catch(() => {})
  }
  const seen = await Promise.all(specs.map((spec) => readStream(system, spec, { onToken })))
  if (disturbance === undefined) throw new Error('the streams ended before the disturbance')
  return { seen, disturbance: await disturbance }
}

/** What routers and nodes say while it listens. */
export const listen = async ({ cluster }: Pick<System, 'cluster'>) => {
  const bus = await connectBus({
    url: cluster.natsUrl,
    credentialsFile: cluster.operatorCredentials,
  })
  const decisions: Decision[] = []
  const ends: Extract<NodeEvent, { type: 'ended' }>[] = []
  bus.subscribe(channels.decisions('default'), (decision) => void decisions.push(decision))
  bus.subscribe(channels.nodeEvents('default'), (event) => {
    if (event.type === 'ended') ends.push(event)
  })
  await bus.flush()
  return { decisions, ends, close: () => bus.close() }
}
