import { connectBus } from '@punica/bus'
import { type UsageEvent, UsageEvent as UsageEventSchema, usageStream } from '@punica/schema'
import type { System } from './system.ts'
import { until } from './until.ts'

/** What the calls that ended while it follows have to be paid for. */
export const followUsage = async ({ cluster }: Pick<System, 'cluster'>) => {
  const bus = await connectBus({
    url: cluster.natsUrl,
    credentialsFile: cluster.operatorCredentials,
  })
  const calls = new Map<string, UsageEvent>()
  const startMs = Date.now()
  let at: { created: string; seq: number } | null = null
  await bus.follow({
    stream: usageStream,
    schema: UsageEventSchema,
    position: async () => at,
    handle: async (messages, position) => {
      at = position
      for (const { value, timeMs } of messages) {
        if (timeMs >= startMs) calls.set(value.requestId, value)
      }
    },
  })
  return {
    /** Resolves when so many calls have been closed, with the largest event of each. */
    untilClosed: (numCalls: number): Promise<UsageEvent[]> =>
      until(`${numCalls} closed accounts`, async () => {
        await bus.flush()
        const closed = [...calls.values()].filter(({ final }) => final)
        return closed.length >= numCalls ? closed : null
      }),
    close: () => bus.close(),
  }
}
