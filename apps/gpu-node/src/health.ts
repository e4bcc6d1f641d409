import type { Delivery } from '@punica/bus'
import { AppError, type NodeState, toWireError } from '@punica/schema'
import type { Refusals } from '@punica/service'

/** Whether a node serves, why it may not, and the newest leader that it has heard of. */
export type Health = {
  state: NodeState
  reason: string | null
  newestEpoch: number
  /** Told to stop, and its requests are gone: it says nothing of itself any more. */
  hasLeft: boolean
}

/** A router that has been replaced is not obeyed; a newer one is remembered. */
export const createEpochCheck =
  (health: Health, { refusals }: { refusals: Pick<Refusals, 'refuse'> }) =>
  (epoch: number, { subject }: Delivery): boolean => {
    if (epoch < health.newestEpoch) {
      refusals.refuse(subject, 'stale_epoch')
      return false
    }
    health.newestEpoch = epoch
    return true
  }

/** The refusal of a node that does not serve, else null. */
export const checkReady = ({ state }: Health) =>
  state === 'ready' ? null : refuse(`The node is ${state}`)

export const refuse = (message: string) => ({
  type: 'refused' as const,
  error: toWireError(new AppError('unavailable', message)),
})
