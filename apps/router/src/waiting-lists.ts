import type { Bus } from '@punica/bus'
import type { SchedulerEvent } from '@punica/scheduler'
import { channels, limits, type WaitingReply } from '@punica/schema'
import type { Logger } from '@punica/service'
import type { Bare } from './perform.ts'

type Deps = {
  bus: Pick<Bus, 'request'>
  log: Pick<Logger, 'warn'>
  epoch: number
  /** Told once for each gateway, with all that it waits for. */
  onList: (event: Extract<Bare<SchedulerEvent>, { type: 'gatewayWaits' }>) => void
}

const timeoutMs = 2_000

/** Asks each gateway once what it waits for. */
export const createWaitingLists = ({ bus, log, epoch, onList }: Deps) => {
  const asked = new Set<string>()

  const ask = async (gatewayId: string): Promise<void> => {
    const requests: WaitingReply['requests'] = []
    for (let page = 0; page < limits.maxWaitingPages; page++) {
      const reply = await bus.request(channels.waiting(gatewayId), { epoch, page }, { timeoutMs })
      requests.push(...reply.requests)
      if (reply.isLast) break
    }
    onList({ type: 'gatewayWaits', gatewayId, requests })
  }

  return {
    /** A gateway has been heard: it is asked unless it was. Where it does not answer, the next time. */
    heard: (gatewayId: string): void => {
      if (asked.has(gatewayId)) return
      asked.add(gatewayId)
      ask(gatewayId).catch((err: unknown) => {
        asked.delete(gatewayId)
        log.warn({ err, gatewayId }, 'gateway did not say what it waits for')
      })
    },
    left: (gatewayId: string): void => void asked.delete(gatewayId),
    /** Messages may have been lost in both directions: everybody is asked again. */
    askAgain: (): void => asked.clear(),
  }
}
