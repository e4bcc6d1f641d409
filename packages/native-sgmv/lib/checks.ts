import { EngineError, type EngineErrorCode } from './errors.ts'

export const maxInt32 = 2 ** 31 - 1

/** What a field is checked for: the code of the error, and the field as the caller spells it. */
export type Field = { code: EngineErrorCode; name: string }

const show = (value: unknown): string =>
  typeof value === 'string' ? JSON.stringify(value) : String(value)

export const refuse = ({ code, name }: Field, value: unknown, rule: string): never => {
  throw new EngineError(code, `${name} is ${show(value)}; it must be ${rule}.`)
}

export const checkInteger = (
  field: Field,
  value: number,
  [min, max]: readonly [number, number],
): number =>
  Number.isInteger(value) && value >= min && value <= max
    ? value
    : refuse(field, value, `an integer from ${min} to ${max}`)

/** Ranges of real numbers are the engine's to check; here they only have to be numbers. */
export const checkNumber = (field: Field, value: number): number =>
  Number.isFinite(value) ? value : refuse(field, value, 'a finite number')

export const checkFraction = (field: Field, value: number): number =>
  value > 0 && value <= 1 ? value : refuse(field, value, 'a number above 0 and at most 1')

export const checkBoolean = (field: Field, value: boolean): boolean =>
  typeof value === 'boolean' ? value : refuse(field, value, 'true or false')

export const checkString = (field: Field, value: string): string =>
  typeof value === 'string' ? value : refuse(field, value, 'a string')

export const checkOneOf = <T extends string>(
  field: Field,
  value: T,
  allowed: readonly NoInfer<T>[],
): T => (allowed.includes(value) ? value : refuse(field, value, allowed.join(' or ')))

/** A copy that fits the engine; whether the ids are the model's is for the engine to say. */
export const toInt32Array = (
  { code, name }: Field,
  values: readonly number[] | Int32Array,
): Int32Array => {
  if (values instanceof Int32Array) return values
  if (!Array.isArray(values)) {
    return refuse({ code, name }, values, 'an array of token ids or an Int32Array')
  }
  values.forEach((value, i) => {
    checkInteger({ code, name: `${name}[${i}]` }, value, [-maxInt32 - 1, maxInt32])
  })
  return Int32Array.from(values)
}
