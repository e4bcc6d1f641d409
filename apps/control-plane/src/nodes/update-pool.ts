import { AppError } from '@punica/schema'
import { z } from 'zod'
import type { Commit } from '../audit/perform.ts'
import type { UpdatePoolInput } from '../generated/graphql.ts'
import { parseInput } from '../server/input.ts'

const between = (number: z.ZodNumber, min: number, max: number) =>
  number.min(min, `must be ${min} to ${max}`).max(max, `must be ${min} to ${max}`)

const Input = z.object({
  name: z.string(),
  // Null takes a limit away; what is left out stays.
  maxNodes: between(z.int(), 1, 10_000).nullable().exactOptional(),
  interTokenTargetMs: between(z.number(), 1, 60_000).nullable().exactOptional(),
  maxBatchSize: between(z.int(), 1, 4_096).nullable().exactOptional(),
})

/** Throws AppError `not_found`. */
export const updatePool = (commit: Commit, input: UpdatePoolInput) => {
  const { name, ...data } = parseInput(Input, input)
  return commit(async ({ tx, changed }) => {
    if ((await tx.pool.findUnique({ where: { name } })) === null) {
      throw new AppError('not_found', `name: there is no pool ${name}`, { param: 'name' })
    }
    const pool = await tx.pool.update({ where: { name }, data })
    changed('pool', name)
    return { __typename: 'UpdatePoolPayload' as const, pool }
  })
}
