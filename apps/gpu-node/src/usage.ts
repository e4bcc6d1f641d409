import type { Bus } from '@punica/bus'
import { channels, type EndReason, type UsageEvent } from '@punica/schema'
import type { Logger } from '@punica/service'
import type { Entry } from './requests/table.ts'

const maxPending = 10_000
const maxTries = 20
const firstDelayMs = 100
const maxDelayMs = 5_000

type Deps = {
  bus: Pick<Bus, 'store'>
  log: Pick<Logger, 'error'>
  /** Called for each event that is given up. */
  onLost: () => void
}

/**
 * Stores usage events in order, again and again where the stream does not answer, up to a bound of
 * tries for each and of events that wait. What it gives up is logged whole, so that it can still be
 * billed by hand.
 */
export const createUsageRecorder = ({ bus, log, onLost }: Deps) => {
  const pending: UsageEvent[] = []
  let working: Promise<void> | null = null

  const giveUp = (event: UsageEvent, err?: unknown): void => {
    log.error({ event, err }, 'usage lost')
    onLost()
  }

  /** Resolves with the error of the last try, or null when it is stored. */
  const storeOne = async (event: UsageEvent): Promise<unknown> => {
    const id = `${event.requestId}:${event.fromIndex}`
    for (let numTries = 1, delayMs = firstDelayMs; ; numTries++) {
      try {
        await bus.store(channels.usage(event.tenant), event, { id })
        return null
      } catch (err) {
        if (numTries === maxTries) return err
        await delay(delayMs)
        delayMs = Math.min(2 * delayMs, maxDelayMs)
      }
    }
  }

  const work = async (): Promise<void> => {
    for (let event = pending[0]; event !== undefined; event = pending[0]) {
      const err = await storeOne(event)
      // Unless `flush` has given it up meanwhile.
      if (pending[0] !== event) continue
      pending.shift()
      if (err !== null) giveUp(event, err)
    }
    working = null
  }

  return {
    record: (event: UsageEvent): void => {
      if (pending.length >= maxPending) {
        giveUp(event)
        return
      }
      pending.push(event)
      working ??= work()
    },
    /** Waits until everything is stored, at most for this long; what is left then is logged. */
    flush: async (timeoutMs: number): Promise<void> => {
      if (working !== null) await Promise.race([working, delay(timeoutMs)])
      for (const event of pending.splice(0)) giveUp(event)
    },
  }
}

type Place = { pool: string; nodeId: string }

/**
 * What one attempt on this node has to be paid for, or null for nothing. The prompt is paid for
 * once, with the first generated tokens; an attempt that was moved before it made any leaves it to
 * the next.
 */
export const toUsageEvent = (
  { task, numGenerated, numGeneratedBefore }: Entry,
  reason: EndReason,
  { pool, nodeId, nowMs }: Place & { nowMs: number },
): UsageEvent | null => {
  const isComplete = reason === 'stop' || reason === 'length'
  const isFirst = numGeneratedBefore === 0
  if (numGenerated === numGeneratedBefore && !(isComplete && isFirst)) return null
  return {
    requestId: task.requestId,
    tenant: task.tenant,
    adapterDigest: task.adapter?.digest ?? null,
    pool,
    nodeId,
    timeMs: nowMs,
    promptTokens: isFirst ? task.numPromptTokens : 0,
    fromIndex: numGeneratedBefore,
    toIndex: numGenerated,
  }
}

const delay = (ms: number): Promise<void> =>
  new Promise((resolve) => {
    setTimeout(resolve, ms).unref()
  })
