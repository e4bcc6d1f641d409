import type { Bus } from '@punica/bus'
import { channels } from '@punica/schema'

export type KeyUse = {
  /** The key has just been accepted. */
  note(apiKey: string): void
  /** Tells what has not been told yet. */
  close(): void
}

const intervalMs = 15_000
/** As many as one message names; more are told at their next use. */
const maxPrefixes = 10_000

/** Tells the control plane now and then which keys were used, each once however often it was. */
export const createKeyUse = ({
  bus,
  clock,
}: {
  bus: Pick<Bus, 'publish'>
  clock: () => number
}): KeyUse => {
  const prefixes = new Set<string>()
  const tell = (): void => {
    if (prefixes.size === 0) return
    bus.publish(channels.keysUsed, { timeMs: clock(), prefixes: [...prefixes] })
    prefixes.clear()
  }
  const timer = setInterval(tell, intervalMs)
  return {
    note: (apiKey) => {
      const [, prefix] = apiKey.split('_')
      if (prefix !== undefined && prefixes.size < maxPrefixes) prefixes.add(prefix)
    },
    close: () => {
      clearInterval(timer)
      tell()
    },
  }
}
