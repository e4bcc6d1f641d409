import { formatCount, plural } from '../../format.ts'
import type { Gpu, Totals } from './totals.ts'

export type Description = {
  /** What the cluster does, in one sentence. */
  headline: string
  /** What of it is worth a second look; empty: nothing. */
  remarks: string[]
}

/** Says what the cluster is doing, so that a glance is enough. */
export const describe = (totals: Totals, gpus: readonly Gpu[]): Description => ({
  headline: headlineOf(totals, gpus.length),
  remarks: [
    ...queueRemark(totals),
    ...packingRemark(totals),
    ...stateRemark(gpus, 'LOST', 'lost', 'Their requests went on elsewhere.'),
    ...stateRemark(gpus, 'FAILED', 'failed', 'The node’s page says why.'),
    ...drainRemark(gpus),
  ],
})

const headlineOf = (
  { activeNodes, readyNodes, runningRequests }: Totals,
  numGpus: number,
): string => {
  if (numGpus === 0) return 'No GPU has reported yet.'
  if (readyNodes === 0) return 'No GPU is ready.'
  if (runningRequests === 0) return `Nothing runs. ${plural(readyNodes, 'GPU')} ready.`
  const requests = plural(runningRequests, 'request')
  return `${formatCount(activeNodes)} of ${plural(readyNodes, 'GPU')} serve ${requests}.`
}

const queueRemark = ({ queuedRequests }: Totals): string[] =>
  queuedRequests === null || queuedRequests === 0
    ? []
    : [`${plural(queuedRequests, 'request')} wait: no GPU has room.`]

/** The lower bound knows batch limits only; one GPU more is as packed as it gets. */
const packingRemark = ({ activeNodes, lowerBoundNodes }: Totals): string[] =>
  activeNodes > lowerBoundNodes + 1
    ? [
        `By batch limits ${formatCount(lowerBoundNodes)} would do: the rest is memory, latency or a move under way.`,
      ]
    : []

const stateRemark = (
  gpus: readonly Gpu[],
  state: Gpu['state'],
  word: string,
  more: string,
): string[] => {
  const count = gpus.filter((gpu) => gpu.state === state).length
  return count === 0 ? [] : [`${plural(count, 'GPU')} ${word}. ${more}`]
}

const drainRemark = (gpus: readonly Gpu[]): string[] => {
  const draining = gpus.filter((gpu) => gpu.scheduling === 'DRAINED' || gpu.state === 'DRAINING')
  const requests = draining.reduce((total, gpu) => total + gpu.requests, 0)
  if (draining.length === 0) return []
  const left = requests === 0 ? 'empty' : `${plural(requests, 'request')} still to move`
  return [`${plural(draining.length, 'GPU')} drained, ${left}.`]
}
