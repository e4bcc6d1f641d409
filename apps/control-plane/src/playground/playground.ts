import { AppError } from '@punica/schema'
import type { PlaygroundUpdate } from '../generated/graphql.ts'
import { type Prompt, runPrompt } from './run.ts'
import type { ConnectTenant, TenantClient } from './tenant-client.ts'

export type Playground = {
  /** Throws AppError `overloaded`, or what connecting and making a key throw. */
  start(caller: Caller, prompt: Prompt): Promise<AsyncIterableIterator<PlaygroundUpdate>>
}

/** Whose requests they are, and with which key: the caller's own, or one that can be made. */
export type Caller = { tenant: string; apiKey: string | (() => Promise<MadeKey>) }
export type MadeKey = { secret: string; expiresAt: Date }

/** Prompts that run at a time, of all callers. */
const maxRuns = 32
/** A made key is used again while it holds for at least as long as a run may take. */
const minKeyMs = 12 * 60_000
/** The gateway knows a new key within the catalog's propagation time. */
const knownWithinMs = 3_000
const askAgainMs = 50

/** Runs prompts as a client of the gateway, which is where every limit and every right is checked. */
export const createPlayground = (connect: ConnectTenant): Playground => {
  /** By tenant; kept so that an operator's tries do not make a key each. */
  const made = new Map<string, MadeKey>()
  let numRuns = 0

  const keyFor = async ({ tenant, apiKey }: Caller): Promise<{ key: string; isNew: boolean }> => {
    if (typeof apiKey === 'string') return { key: apiKey, isNew: false }
    const known = made.get(tenant)
    if (known !== undefined && known.expiresAt.getTime() - Date.now() > minKeyMs) {
      return { key: known.secret, isNew: false }
    }
    const key = await apiKey()
    made.delete(tenant)
    made.set(tenant, key)
    for (const [oldest] of made) if (made.size > maxRuns) made.delete(oldest)
    return { key: key.secret, isNew: true }
  }

  const open = async (caller: Caller): Promise<TenantClient> => {
    const { key, isNew } = await keyFor(caller)
    const client = await connect(caller.tenant, key)
    try {
      if (isNew) await untilKnown(client)
      return client
    } catch (cause) {
      await client.close()
      throw cause
    }
  }

  return {
    start: async (caller, prompt) => {
      if (numRuns >= maxRuns) {
        const message = `${maxRuns} prompts run in the playground already, the limit; try again`
        throw new AppError('overloaded', message, { retryAfterMs: 1_000 })
      }
      numRuns += 1
      try {
        const client = await open(caller)
        const onEnd = async (): Promise<void> => {
          numRuns -= 1
          await client.close()
        }
        return runPrompt({ client, prompt, now: () => performance.now(), onEnd })
      } catch (cause) {
        numRuns -= 1
        throw cause
      }
    },
  }
}

/** Resolves once a gateway accepts the key. */
const untilKnown = async (client: Pick<TenantClient, 'models'>): Promise<void> => {
  const giveUpAt = Date.now() + knownWithinMs
  for (;;) {
    try {
      await client.models()
      return
    } catch (cause) {
      const isUnknown = cause instanceof AppError && cause.code === 'unauthenticated'
      if (!isUnknown || Date.now() > giveUpAt) throw cause
    }
    await new Promise((resolve) => setTimeout(resolve, askAgainMs))
  }
}
