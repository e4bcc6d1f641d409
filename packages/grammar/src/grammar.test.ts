import { AppError } from '@punica/schema'
import { describe, expect, test } from 'vitest'
import { grammarOfSchema, jsonObjectGrammar } from './index.ts'
import { matches } from './testing/matches.ts'

const holds = (schema: unknown, value: string): boolean =>
  matches(grammarOfSchema(schema, 'schema'), value)

const check = (schema: unknown, good: readonly string[], bad: readonly string[]): void => {
  const grammar = grammarOfSchema(schema, 'schema')
  for (const value of good) expect(matches(grammar, value), value).toBe(true)
  for (const value of bad) expect(matches(grammar, value), value).toBe(false)
}

const refusal = (schema: unknown): AppError => {
  try {
    grammarOfSchema(schema, 'response_format')
  } catch (err) {
    if (err instanceof AppError) return err
    throw err
  }
  throw new Error('was not refused')
}

describe('any JSON object', () => {
  test.each(['{}', '{"a":1}', '{"a": [1, -2.5e+3, true, null, {"b": "c\\u00e9\\n"}], "é": {}}'])(
    '%s is one',
    (value) => expect(matches(jsonObjectGrammar, value)).toBe(true),
  )

  test.each(['', '[]', '1', '{', '{a:1}', '{"a":1,}', '{"a":01}', '{"a":"\\x"}', '{"a":"\n"}'])(
    '%s is none',
    (value) => expect(matches(jsonObjectGrammar, value)).toBe(false),
  )

  test('half a surrogate pair is no character', () => {
    expect(matches(jsonObjectGrammar, '{"a":"\\ud7ff"}')).toBe(true)
    expect(matches(jsonObjectGrammar, '{"a":"\\ud800"}')).toBe(false)
  })

  test('white space between tokens is a space, or a line break with its indentation', () => {
    expect(matches(jsonObjectGrammar, '{\n  "a": 1,\n  "b": 2\n}')).toBe(true)
    expect(matches(jsonObjectGrammar, '{  "a":1}')).toBe(false)
  })
})

describe('objects', () => {
  const person = {
    type: 'object',
    properties: { name: { type: 'string' }, age: { type: 'integer' }, ok: { type: 'boolean' } },
    required: ['age'],
  }

  test('have their properties in order, the required ones always', () => {
    check(
      person,
      [
        '{"age":1}',
        '{"name":"a","age":1}',
        '{"age":1,"ok":true}',
        '{"name":"","age":0,"ok":false}',
      ],
      ['{}', '{"name":"a"}', '{"age":1,"name":"a"}', '{"age":1,}', '{,"age":1}', '{"age":1.5}'],
    )
  })

  test('have others only where the schema says so, and never one of these again', () => {
    expect(holds(person, '{"age":1,"x":2}')).toBe(false)
    check(
      { ...person, additionalProperties: { type: 'integer' } },
      ['{"age":1,"x":2}', '{"age":1,"ok":true,"ag":2,"ages":3,"":4,"b":5}'],
      ['{"age":1,"x":"2"}', '{"age":1,"ok":1}', '{"age":1,"name":2}', '{"x":2,"age":1}'],
    )
  })

  test('a required key that is no property has the schema of the others', () => {
    check(
      { type: 'object', required: ['a'], additionalProperties: { type: 'null' } },
      ['{"a":null}', '{"a":null,"b":null}'],
      ['{}', '{"b":null}', '{"a":1}'],
    )
  })

  test('without properties they are any', () => {
    check({ type: 'object' }, ['{}', '{"a":{"b":[]}}'], ['[]'])
    check({ type: 'object', additionalProperties: false }, ['{}'], ['{"a":1}'])
  })

  test('keys may hold what must be escaped', () => {
    check({ properties: { 'a"\n': { type: 'null' } } }, ['{"a\\"\\n":null}', '{}'], ['{"a":null}'])
  })
})

describe('arrays', () => {
  test('have from minItems to maxItems elements', () => {
    check(
      { type: 'array', items: { type: 'integer' }, minItems: 1, maxItems: 3 },
      ['[1]', '[1, 2]', '[1,2,3]'],
      ['[]', '[1,2,3,4]', '[1,]', '["1"]'],
    )
    check({ type: 'array', items: { type: 'null' }, maxItems: 0 }, ['[]'], ['[null]'])
    check({ type: 'array', items: { type: 'null' }, minItems: 2 }, ['[null,null,null]'], ['[null]'])
  })

  test('begin with prefixItems', () => {
    const prefixItems = [{ type: 'integer' }, { type: 'null' }]
    check({ prefixItems, items: false }, ['[]', '[1]', '[1,null]'], ['[null]', '[1,null,2]'])
    check(
      { prefixItems, items: { type: 'boolean' }, minItems: 2, maxItems: 3 },
      ['[1,null]', '[1,null,true]'],
      ['[1]', '[1,null,2]', '[1,null,true,true]'],
    )
  })
})

describe('strings', () => {
  test('have from minLength to maxLength characters, whatever their bytes', () => {
    check(
      { type: 'string', minLength: 2, maxLength: 3 },
      ['"ab"', '"é€😀"', '"\\n\\u0041"'],
      ['"a"', '"abcd"', '"😀"'],
    )
  })

  test.each([
    ['date', ['2024-01-31', '1999-02-28'], ['2024-02-30', '2024-13-01', '2024-04-31', '24-01-01']],
    ['time', ['23:59:59Z', '00:00:00.5+02:00'], ['24:00:00Z', '12:00:00', '12:60:00Z']],
    ['date-time', ['2024-01-31T12:00:00Z'], ['2024-01-31 12:00:00Z']],
    ['uuid', ['123e4567-e89b-12d3-a456-426614174000'], ['123e4567-e89b-12d3-a456']],
    ['ipv4', ['255.0.10.199'], ['256.0.0.1', '1.2.3', '01.2.3.4']],
  ])('hold to the format %s', (format, good, bad) => {
    const quoted = (values: readonly string[]) => values.map((value) => `"${value}"`)
    check({ type: 'string', format }, quoted(good), quoted(bad))
  })
})

describe('numbers', () => {
  test('whole ones lie within their bounds', () => {
    for (const [minimum, maximum] of [
      [0, 130],
      [-5, 5],
      [7, 7],
      [-120, -13],
      [98, 1003],
    ] as const) {
      const grammar = grammarOfSchema({ type: 'integer', minimum, maximum }, 'schema')
      for (let i = -1100; i <= 1100; ++i) {
        expect(matches(grammar, `${i}`), `${i}`).toBe(i >= minimum && i <= maximum)
      }
    }
    check({ type: 'integer', exclusiveMinimum: 0 }, ['1', '987654321'], ['0', '-1', '1.0', '1e3'])
  })

  test('others lie within theirs', () => {
    check(
      { type: 'number', minimum: -1, maximum: 2 },
      ['-1', '-0.999', '0', '0.5', '1.999', '2'],
      ['-1.0', '-1.5', '2.1', '3', '2e0', '1.'],
    )
    check(
      { type: 'number', exclusiveMinimum: 0, exclusiveMaximum: 1 },
      ['0.5', '0.01'],
      ['0', '0.0', '1', '1.5', '-0.5'],
    )
    // What a double cannot tell from its bound is not offered.
    const below = { type: 'number', exclusiveMaximum: 29 }
    check(below, ['28.9999999999999'], ['28.9999999999999999'])
    check({ type: 'number' }, ['-12.5e-7', '0'], ['1e999', '.5', '+1', 'NaN'])
  })
})

describe('choices', () => {
  test('enum and const are their values, of the type that is asked for', () => {
    check({ enum: ['a', 1, null, { b: [] }] }, ['"a"', '1', 'null', '{"b":[]}'], ['"b"', '2'])
    check({ type: 'string', enum: ['a', 1] }, ['"a"'], ['1'])
    check({ const: 'x' }, ['"x"'], ['"y"'])
  })

  test('anyOf and lists of types are one of them', () => {
    check({ anyOf: [{ type: 'null' }, { type: 'integer' }] }, ['null', '1'], ['true'])
    check({ type: ['string', 'null'], maxLength: 1 }, ['"a"', 'null'], ['"ab"', '1'])
  })

  test('$ref leads into the schema, and a schema may contain itself', () => {
    const tree = {
      $ref: '#/$defs/node',
      $defs: {
        node: {
          type: 'object',
          properties: { value: { type: 'integer' }, left: { $ref: '#/$defs/node' } },
          required: ['value'],
        },
      },
    }
    check(
      tree,
      ['{"value":1}', '{"value":1,"left":{"value":2,"left":{"value":3}}}'],
      ['{"left":{"value":1}}', '{"value":1,"left":{}}'],
    )
  })
})

test('a schema of many properties stays within the limit', () => {
  const kinds = [{ type: 'integer' }, { type: 'number', minimum: 0 }, { type: 'string' }]
  const keys = Array.from({ length: 300 }, (_, i) => [`property_${i}`, kinds[i % 3]])
  const schema = { type: 'object', properties: Object.fromEntries(keys) }
  expect(() => grammarOfSchema({ ...schema, additionalProperties: true }, 'schema')).not.toThrow()
})

describe('refused by name', () => {
  test.each([
    [{ type: 'string', pattern: 'a+' }, '/pattern is not supported'],
    [{ type: 'object', properties: { a: { not: {} } } }, '/properties/a/not is not supported'],
    [{ oneOf: [{}] }, '/oneOf is not supported'],
    [{ type: 'number', minimum: 0.5 }, '/minimum must be a whole number'],
    [{ type: 'integer', minimum: 3, maximum: 2 }, 'leaves no integer between its bounds'],
    [{ type: 'array', minItems: 3, maxItems: 2 }, '/maxItems is less than minItems'],
    [{ type: 'strnig' }, '/type must be one or more of object'],
    [{ type: 'string', format: 'email' }, '/format is not supported; the formats are date'],
    [{ enum: [] }, '/enum leaves no value'],
    [{ $ref: 'https://example.com' }, '/$ref must begin with #'],
    [{ $ref: '#/$defs/a' }, 'points at #/$defs/a, which is not there'],
    [{ anyOf: [{}], type: 'string' }, '/type is not supported beside anyOf'],
    [{ $ref: '#' }, 'can never be met'],
    [{ properties: { a: { $ref: '#' } }, required: ['a'] }, 'can never be met'],
    [{ properties: {}, required: ['a'], additionalProperties: false }, 'names a, which is no'],
    [{ type: 'array', items: { enum: ['x'.repeat(40_000)] } }, 'is too large'],
    [{ enum: ['x'.repeat(70_000)] }, 'at most 65536 are allowed'],
  ])('%#', (schema, why) => {
    const error = refusal(schema)
    expect(error).toMatchObject({ code: 'invalid_request', param: 'response_format' })
    expect(error.message).toContain(why)
  })

  test('a schema nested too deep', () => {
    let schema: unknown = {}
    for (let i = 0; i < 5_000; ++i) schema = { items: schema }
    expect(refusal(schema).message).toContain('is nested deeper than 32 schemas')
    let value: unknown = []
    for (let i = 0; i < 100_000; ++i) value = [value]
    expect(refusal({ const: value }).message).toContain('is too large')
  })
})
