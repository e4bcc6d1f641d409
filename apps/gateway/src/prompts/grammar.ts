import { type Grammar, grammarOfSchema, jsonObjectGrammar } from '@punica/grammar'
import { AppError, type ChatBody } from '@punica/schema'

/**
 * What `response_format` holds the answer to; null: nothing. Throws `invalid_request` where its
 * schema cannot be held to, or something else in the body stands against it.
 */
export const toGrammar = ({ response_format: format, ignore_eos }: ChatBody): Grammar | null => {
  if (format == null || format.type === 'text') return null
  if (ignore_eos === true) {
    throw new AppError(
      'invalid_request',
      `ignore_eos: cannot be true beside a response_format of ${format.type}; the answer ends with its JSON`,
      { param: 'ignore_eos' },
    )
  }
  if (format.type === 'json_object') return jsonObjectGrammar
  return grammarOfSchema(format.json_schema.schema, 'response_format.json_schema.schema')
}
