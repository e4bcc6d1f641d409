import { z } from 'zod'
import { DisplayName } from '../server/input.ts'

export const Limit = z.int().min(1, 'must be at least 1; null or left out means no limit')

/** What an operator says of a tenant. */
export const tenantFields = {
  name: DisplayName,
  weight: z.number().gt(0, 'must be above 0').max(1000, 'must be at most 1000'),
}
