// Grammars of bytes, as data. A rule may call itself, so they describe nested texts.

export type Expression =
  | { kind: 'byte'; min: number; max: number }
  | { kind: 'sequence'; parts: readonly Expression[] }
  | { kind: 'choice'; options: readonly Expression[] }
  /** `max` null: without end. */
  | { kind: 'repeat'; of: Expression; min: number; max: number | null }
  | { kind: 'rule'; name: string }

/** Rule name -> what it stands for. */
export type Rules = ReadonlyMap<string, Expression>

export const byte = (min: number, max = min): Expression => ({ kind: 'byte', min, max })

export const sequence = (...parts: Expression[]): Expression =>
  parts.length === 1 && parts[0] !== undefined ? parts[0] : { kind: 'sequence', parts }

export const choice = (options: readonly Expression[]): Expression =>
  options.length === 1 && options[0] !== undefined ? options[0] : { kind: 'choice', options }

export const repeat = (of: Expression, min: number, max: number | null): Expression => ({
  kind: 'repeat',
  of,
  min,
  max,
})

export const optional = (of: Expression): Expression => repeat(of, 0, 1)

export const rule = (name: string): Expression => ({ kind: 'rule', name })

export const empty = sequence()

/** The bytes of `value` in UTF-8. */
export const text = (value: string): Expression =>
  sequence(...Array.from(Buffer.from(value, 'utf8'), (code) => byte(code)))

/** One of the characters of `characters`, which are ASCII; `a-z` stands for a range. */
export const oneOf = (characters: string): Expression => {
  const ranges = characters.match(/[\s\S]-[\s\S]|[\s\S]/g) ?? []
  return choice(
    ranges.map((range) => byte(range.charCodeAt(0), range.charCodeAt(range.length - 1))),
  )
}

export const digit = oneOf('0-9')
