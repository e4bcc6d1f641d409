import { isDeepStrictEqual } from 'node:util'
import { ModelShape, readModelShape } from '@punica/adapter'
import type { Database } from '../db/database.ts'

export type BaseModelSetting = {
  name: string
  /** Hugging Face folder; only its config.json is read. */
  folder: string
  pool: string
}

/**
 * Makes the base model of the settings known, and its pool. Rejects where the name stands for a
 * model of another shape, or the pool for another model: adapters were checked against that one.
 */
export const seedBaseModel = async (
  db: Database,
  { name, folder, pool }: BaseModelSetting,
): Promise<void> => {
  const shape = await readModelShape(folder)
  const data = { name, architecture: shape.architecture, maxContext: shape.maxPositions, shape }
  await db.baseModel.createMany({ data, skipDuplicates: true })
  const known = await db.baseModel.findUniqueOrThrow({ where: { name } })
  if (!isDeepStrictEqual(ModelShape.parse(known.shape), shape)) {
    throw new Error(`base model ${name} is known with another shape; give this one another name`)
  }
  await db.pool.createMany({ data: { name: pool, baseModelName: name }, skipDuplicates: true })
  const served = await db.pool.findUnique({ where: { name: pool } })
  if (served?.baseModelName !== name) {
    throw new Error(`pool ${pool} or base model ${name} is taken: a pool serves one base model`)
  }
}
