import { AppError, fromWireError, Slug, WireError } from '@punica/schema'
import { z } from 'zod'
import { perform } from '../audit/perform.ts'
import type { PlaygroundUpdate, SubscriptionResolvers } from '../generated/graphql.ts'
import { createApiKey } from '../keys/create.ts'
import type { Context } from '../server/context.ts'
import { parseInput } from '../server/input.ts'
import type { Caller, MadeKey } from './playground.ts'

const Input = z.object({
  tenant: Slug.nullish(),
  models: z
    .array(z.string().min(1).max(200))
    .min(1, 'must name at least one')
    .max(8, 'must name at most 8')
    .refine((models) => new Set(models).size === models.length, 'must not name one twice'),
  prompt: z
    .string()
    .min(1, 'must not be empty')
    .max(100_000, 'must have at most 100000 characters'),
  maxTokens: z.int().min(1).max(4096),
  temperature: z.number().min(0).max(2),
  seed: z.int().nonnegative().nullish(),
})

/** Of a key that is made for an operator's tries. */
const keyLifeMs = 30 * 60_000

export const playgroundSubscriptions: Pick<SubscriptionResolvers, 'playground'> = {
  playground: {
    subscribe: async (_, { input }, context) => {
      const { tenant, seed, ...prompt } = parseInput(Input, input)
      const caller = toCaller(context, tenant ?? null)
      return context.playground.start(caller, { ...prompt, seed: seed ?? null })
    },
    resolve: (update: PlaygroundUpdate) => update,
  },
}

/** A tenant's requests are made with the very key of the caller, so that its rights and its end hold. */
const toCaller = (context: Context, named: string | null): Caller => {
  const { actor, secret } = context
  if (actor.tenant !== null) {
    if (named !== null && named !== actor.tenant.slug) {
      throw new AppError('forbidden', `This key may not make requests of tenant ${named}`)
    }
    return { tenant: actor.tenant.slug, apiKey: secret }
  }
  if (named === null) {
    const message = 'An operator names the tenant whose requests these are'
    throw new AppError('invalid_request', message, { param: 'tenant' })
  }
  return { tenant: named, apiKey: () => makeKey(context, named) }
}

/** It stands in the audit log and in the tenant's list of keys. */
const makeKey = async (context: Context, tenant: string): Promise<MadeKey> => {
  const expiresAt = new Date(Date.now() + keyLifeMs)
  const input = { tenant, name: 'Playground', scopes: ['GENERATE' as const], expiresAt }
  const act = { action: 'createApiKey', tenant, target: input.name }
  const made = await perform(context, act, (commit) =>
    createApiKey(commit, input, context.actor.keyPrefix),
  )
  if (made.__typename === 'CreateApiKeyPayload') return { secret: made.secret, expiresAt }
  throw fromWireError(WireError.parse({ code: made.code, message: made.message }))
}
