import { AppError, toInvalidRequest } from '@punica/schema'
import { z } from 'zod'

/** A name for people. */
export const DisplayName = z
  .string()
  .trim()
  .min(1, 'must not be empty')
  .max(200, 'must have at most 200 characters')

/** Absent: never. */
export const ExpiresAt = z
  .date()
  .nullish()
  .refine(
    (date) => (date?.getTime() ?? Number.POSITIVE_INFINITY) > Date.now(),
    'must be in the future',
  )
  .transform((date) => date ?? null)

/** Throws AppError `invalid_request` naming the field. */
export const parseInput = <S extends z.ZodType>(schema: S, input: unknown): z.output<S> => {
  const parsed = schema.safeParse(input)
  if (!parsed.success) throw toInvalidRequest(parsed.error)
  return parsed.data
}

/** Ids are UUIDs; what is not one names nothing. */
export const parseId = (field: string, id: string): string => {
  const parsed = z.uuid().safeParse(id)
  if (!parsed.success) throw new AppError('not_found', `${field}: is not an id`, { param: field })
  return parsed.data
}
