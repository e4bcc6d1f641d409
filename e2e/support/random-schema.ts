// JSON Schemas of every kind that `response_format` takes, small enough for a short answer.

/** Numbers in [0, 1) from a seed (mulberry32). */
const randomFrom = (seed: number): (() => number) => {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296
  }
}

type Schema = { [keyword: string]: unknown }

/** An object's schema; the same seed makes the same one. */
export const randomSchema = (seed: number): Schema => {
  const random = randomFrom(seed)
  const upTo = (max: number): number => Math.floor(random() * (max + 1))
  const pick = <T>(options: readonly [T, ...T[]]): T =>
    options[upTo(options.length - 1)] ?? options[0]

  const object = (depth: number): Schema => {
    const names = ['name', 'age', 'a', 'b-c', 'größe', 'with "quotes"', 'x_1'].slice(upTo(5), 7)
    const keys = names.slice(0, 1 + upTo(2))
    return {
      type: 'object',
      properties: Object.fromEntries(keys.map((key) => [key, value(depth + 1)])),
      required: keys.filter(() => random() < 0.6),
      additionalProperties: random() < 0.2 ? { type: 'boolean' } : false,
    }
  }
  const string = (): Schema =>
    pick<() => Schema>([
      () => ({ type: 'string', maxLength: 1 + upTo(12) }),
      () => ({ type: 'string', minLength: 2, maxLength: 2 + upTo(6) }),
      () => ({ type: 'string', format: pick(['date', 'time', 'date-time', 'uuid', 'ipv4']) }),
      () => ({ type: 'string', enum: ['red', 'green', 'blue', 'über "x"'].slice(0, 1 + upTo(3)) }),
    ])()
  const number = (): Schema => {
    const low = upTo(200) - 100
    return pick<() => Schema>([
      () => ({ type: 'integer', minimum: low, maximum: low + upTo(300) }),
      () => ({ type: 'integer', exclusiveMinimum: low }),
      () => ({ type: 'number', minimum: low, exclusiveMaximum: low + 1 + upTo(10) }),
      () => ({ type: 'number' }),
    ])()
  }
  const array = (depth: number): Schema => {
    const minItems = upTo(2)
    return pick<() => Schema>([
      () => ({ type: 'array', items: value(depth + 1), minItems, maxItems: minItems + upTo(2) }),
      () => ({ type: 'array', prefixItems: [value(depth + 1), value(depth + 1)], items: false }),
    ])()
  }
  const scalar = (): Schema =>
    pick<() => Schema>([
      string,
      number,
      () => ({ type: pick(['boolean', 'null']) }),
      () => ({ const: pick<unknown>([1, 'fixed', null, { k: [true] }]) }),
      () => ({ type: ['string', 'null'], maxLength: 5 }),
    ])()
  const value = (depth: number): Schema => {
    if (depth >= 3 || random() < 0.6) return scalar()
    return pick<() => Schema>([
      () => object(depth),
      () => array(depth),
      () => ({ anyOf: [scalar(), object(depth)] }),
    ])()
  }
  return object(0)
}
