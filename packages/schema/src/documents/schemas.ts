import { z } from 'zod'

export type JsonObject = { [key: string]: unknown }

type Registry = z.core.$ZodRegistry<{ id: string }>

/**
 * The JSON Schemas of a registry by their ids, each mention of another as `uri(id)`. They are of
 * what is sent to us, so a field with a default may be absent.
 */
export const schemasOf = (registry: Registry, uri: (id: string) => string): JsonObject => {
  const { schemas } = z.toJSONSchema(registry, { io: 'input', uri })
  return Object.fromEntries(
    Object.entries(schemas).map(([id, schema]) => {
      const { $schema: _, $id: __, ...rest } = schema
      return [id, rest]
    }),
  )
}
