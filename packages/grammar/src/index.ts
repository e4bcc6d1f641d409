import { AppError, limits } from '@punica/schema'
import { assemble } from './assemble.ts'
import { canEnd } from './check-rules.ts'
import { rule } from './expression.ts'
import { jsonRules } from './json.ts'
import { rulesOfSchema } from './schema.ts'

/** A program that the engine runs over the bytes of an answer; three numbers an instruction. */
export type Grammar = readonly number[]

/** Any JSON object. */
export const jsonObjectGrammar: Grammar = assemble(
  new Map([...jsonRules, ['root', rule('object')]]),
  'root',
  limits.grammarInstructions,
)

/**
 * The grammar of the JSON texts that `schema` allows. `param` names the field it came from.
 * Throws AppError `invalid_request` where the schema is too large, can never be met, or has a
 * keyword that cannot be held to.
 */
export const grammarOfSchema = (schema: unknown, param: string): Grammar => {
  const refuse = (why: string): AppError =>
    new AppError('invalid_request', `${param}: ${why}`, { param })
  try {
    const rules = rulesOfSchema(schema, param)
    const numBytes = Buffer.byteLength(JSON.stringify(schema))
    if (numBytes > limits.jsonSchemaBytes) {
      throw refuse(`has ${numBytes} bytes; at most ${limits.jsonSchemaBytes} are allowed`)
    }
    if (!canEnd(rules)) throw refuse('can never be met: a schema contains itself without an end')
    return assemble(rules, 'root', limits.grammarInstructions)
  } catch (cause) {
    // Too many instructions, or a value in it that is nested deeper than the stack.
    if (!(cause instanceof RangeError)) throw cause
    throw refuse('is too large; use fewer or shorter properties, values and repetitions')
  }
}
