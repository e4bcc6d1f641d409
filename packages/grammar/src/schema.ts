import { AppError } from '@punica/schema'
import { elementsOf } from './elements.ts'
import { choice, type Expression, empty, repeat, rule, sequence, text } from './expression.ts'
import { formats } from './formats.ts'
import { jsonRules } from './json.ts'
import {
  annotations,
  isListOfStrings,
  isObject,
  isOfType,
  keywords,
  type SchemaObject,
  type Type,
  types,
} from './keywords.ts'
import { membersOf, pair } from './members.ts'
import { integerIn, numberIn } from './numbers.ts'
import { otherKey } from './other-keys.ts'

const maxDepth = 32
const maxKeyLength = 256
const maxRepeats = 4096
const maxProperties = 512
const maxPrefixItems = 64

/**
 * The rules of the JSON texts that `schema` (JSON Schema 2020-12) allows; they begin at the rule
 * `root`. A keyword that cannot be held to is refused rather than ignored. Objects have their
 * properties in the schema's order, and none but these unless `additionalProperties` is there.
 * Throws AppError `invalid_request` with `param` and the place in the schema.
 */
export const rulesOfSchema = (schema: unknown, param: string): Map<string, Expression> => {
  const compiler = new SchemaCompiler(schema, param)
  const root = compiler.compile(schema, '', 0)
  return new Map([...jsonRules, ...compiler.rules, ['root', root]])
}

class SchemaCompiler {
  readonly rules = new Map<string, Expression>()
  readonly #root: unknown
  readonly #param: string
  /** JSON pointers of `$ref` that have their rule, or are getting it. */
  readonly #referred = new Set<string>()

  constructor(root: unknown, param: string) {
    this.#root = root
    this.#param = param
  }

  compile(schema: unknown, at: string, depth: number): Expression {
    if (depth > maxDepth) this.#refuse(at, `is nested deeper than ${maxDepth} schemas`)
    if (schema === true) return rule('value')
    if (!isObject(schema)) return this.#refuse(at, 'must be an object or true')
    const asked = Object.keys(schema).filter((keyword) => !annotations.has(keyword))
    if (asked.length === 0) return rule('value')
    if ('$ref' in schema) return this.#reference(this.#only(schema, asked, '$ref', at), at, depth)
    if ('anyOf' in schema) return this.#anyOf(this.#only(schema, asked, 'anyOf', at), at, depth)
    if ('const' in schema) return this.#literals(schema, asked, [schema.const], at)
    if ('enum' in schema) return this.#literals(schema, asked, schema.enum, at)
    const named = this.#types(schema, at)
    const known = new Set([...types.flatMap((type) => keywords[type]), 'type'])
    const unknown = asked.find((keyword) => !known.has(keyword))
    if (unknown !== undefined) this.#refuse(`${at}/${unknown}`, 'is not supported')
    return choice(named.map((type) => this.#typed(type, schema, at, depth)))
  }

  #typed(type: Type, schema: SchemaObject, at: string, depth: number): Expression {
    switch (type) {
      case 'object':
        return this.#object(schema, at, depth)
      case 'array':
        return this.#array(schema, at, depth)
      case 'string':
        return this.#string(schema, at)
      case 'number':
      case 'integer':
        return this.#number(type, schema, at)
      case 'boolean':
      case 'null':
        return rule(type)
    }
  }

  /** `type`, or without it the types that the other keywords speak of. */
  #types(schema: SchemaObject, at: string): readonly Type[] {
    const { type } = schema
    if (type === undefined) {
      const meant = types.filter(
        (name) => name !== 'integer' && keywords[name].some((keyword) => keyword in schema),
      )
      return meant.length === 0 ? ['object', 'array', 'string', 'number', 'boolean', 'null'] : meant
    }
    const names: unknown[] = Array.isArray(type) ? type : [type]
    const named = types.filter((name) => names.includes(name))
    if (named.length === 0 || named.length !== new Set(names).size) {
      this.#refuse(`${at}/type`, `must be one or more of ${types.join(', ')}`)
    }
    // A whole number is a number, and two ways to the same text would only be slower.
    return named.includes('number') ? named.filter((name) => name !== 'integer') : named
  }

  #only(schema: SchemaObject, asked: readonly string[], keyword: string, at: string): unknown {
    const other = asked.find((name) => name !== keyword)
    if (other !== undefined) {
      this.#refuse(`${at}/${other}`, `is not supported beside ${keyword}`)
    }
    return schema[keyword]
  }

  #reference(target: unknown, at: string, depth: number): Expression {
    if (typeof target !== 'string' || !/^#(\/.*)?$/.test(target)) {
      return this.#refuse(`${at}/$ref`, 'must begin with #: only the schema itself is looked in')
    }
    const name = `ref ${target}`
    if (!this.#referred.has(target)) {
      this.#referred.add(target)
      this.rules.set(name, this.compile(this.#find(target, at), target.slice(1), depth + 1))
    }
    return rule(name)
  }

  #find(target: string, at: string): unknown {
    let value = this.#root
    for (const part of target.split('/').slice(1)) {
      const key = part.replaceAll('~1', '/').replaceAll('~0', '~')
      const holder: unknown = value
      if ((!isObject(holder) && !Array.isArray(holder)) || !Object.hasOwn(holder, key)) {
        return this.#refuse(`${at}/$ref`, `points at ${target}, which is not there`)
      }
      value = Reflect.get(holder, key)
    }
    return value
  }

  #anyOf(options: unknown, at: string, depth: number): Expression {
    if (!Array.isArray(options) || options.length === 0) {
      return this.#refuse(`${at}/anyOf`, 'must be a list of one or more schemas')
    }
    return choice(options.map((option, i) => this.compile(option, `${at}/anyOf/${i}`, depth + 1)))
  }

  #literals(
    schema: SchemaObject,
    asked: readonly string[],
    values: unknown,
    at: string,
  ): Expression {
    const keyword = 'const' in schema ? 'const' : 'enum'
    const other = asked.find((name) => name !== keyword && name !== 'type')
    if (other !== undefined) this.#refuse(`${at}/${other}`, `is not supported beside ${keyword}`)
    if (!Array.isArray(values)) return this.#refuse(`${at}/enum`, 'must be a list of values')
    const named = 'type' in schema ? this.#types(schema, at) : types
    const allowed = values.filter((value) => named.some((type) => isOfType(value, type)))
    if (allowed.length === 0) this.#refuse(`${at}/${keyword}`, 'leaves no value of the type')
    return choice(allowed.map((value) => text(JSON.stringify(value))))
  }

  #string(schema: SchemaObject, at: string): Expression {
    const { format } = schema
    const min = this.#count(schema, 'minLength', at) ?? 0
    const max = this.#count(schema, 'maxLength', at) ?? null
    if (format === undefined) {
      if (min === 0 && max === null) return rule('string')
      this.#checkOrder(min, max, `${at}/maxLength`, 'minLength')
      return sequence(text('"'), repeat(rule('character'), min, max), text('"'))
    }
    const content = formats.get(`${format}`)
    if (content === undefined) {
      const known = [...formats.keys()].join(', ')
      return this.#refuse(`${at}/format`, `is not supported; the formats are ${known}`)
    }
    if (min > 0 || max !== null) this.#refuse(`${at}/format`, 'is not supported beside a length')
    return sequence(text('"'), this.#shared(`format ${format}`, content), text('"'))
  }

  #number(type: 'number' | 'integer', schema: SchemaObject, at: string): Expression {
    const bounds = keywords.number.filter((keyword) => schema[keyword] !== undefined)
    if (bounds.length === 0) return rule(type)
    const bound = (keyword: string): number | undefined => {
      const value = schema[keyword]
      if (value === undefined) return undefined
      if (typeof value === 'number' && Number.isSafeInteger(value)) return value
      return this.#refuse(`${at}/${keyword}`, 'must be a whole number')
    }
    const minimum = bound('minimum') ?? -Infinity
    const maximum = bound('maximum') ?? Infinity
    const above = bound('exclusiveMinimum') ?? -Infinity
    const below = bound('exclusiveMaximum') ?? Infinity
    const made =
      type === 'integer'
        ? integerIn({ min: Math.max(minimum, above + 1), max: Math.min(maximum, below - 1) })
        : numberIn(
            { min: Math.max(minimum, above), max: Math.min(maximum, below) },
            { min: above >= minimum, max: below <= maximum },
          )
    if (made === null) return this.#refuse(at, `leaves no ${type} between its bounds`)
    return this.#shared(`${type} ${minimum} ${maximum} ${above} ${below}`, made)
  }

  #array(schema: SchemaObject, at: string, depth: number): Expression {
    const { prefixItems = [], items = true } = schema
    if (!Array.isArray(prefixItems) || prefixItems.length > maxPrefixItems) {
      return this.#refuse(`${at}/prefixItems`, `must be a list of up to ${maxPrefixItems} schemas`)
    }
    const first: readonly unknown[] = prefixItems
    const min = this.#count(schema, 'minItems', at) ?? 0
    const asked = this.#count(schema, 'maxItems', at) ?? null
    this.#checkOrder(min, asked, `${at}/maxItems`, 'minItems')
    const max = items === false ? Math.min(first.length, asked ?? first.length) : asked
    if (max !== null && max < min) this.#refuse(`${at}/minItems`, 'is more than items allows')
    const prefix = first.map((item, i) => this.compile(item, `${at}/prefixItems/${i}`, depth + 1))
    const rest =
      items === false
        ? empty
        : this.#shared(`items ${at}`, this.compile(items, `${at}/items`, depth + 1))
    return sequence(text('['), rule('space'), elementsOf(prefix, rest, { min, max }), text(']'))
  }

  #object(schema: SchemaObject, at: string, depth: number): Expression {
    const { properties = {}, required = [] } = schema
    if (!isObject(properties)) return this.#refuse(`${at}/properties`, 'must be an object')
    if (!isListOfStrings(required)) return this.#refuse(`${at}/required`, 'must be a list of keys')
    const others = schema.additionalProperties ?? Object.keys(properties).length === 0
    const names = new Set([...Object.keys(properties), ...required])
    if (names.size > maxProperties) this.#refuse(at, `has more than ${maxProperties} properties`)
    const members = [...names].map((key) => {
      const place = `${at}/properties/${key}`
      if (key.length > maxKeyLength)
        this.#refuse(place, `is longer than ${maxKeyLength} characters`)
      const own = Object.hasOwn(properties, key)
      if (!own && others === false)
        this.#refuse(`${at}/required`, `names ${key}, which is no property`)
      const value = this.compile(own ? properties[key] : others, place, depth + 1)
      return { text: pair(text(JSON.stringify(key)), value), required: required.includes(key) }
    })
    const extra =
      others === false
        ? null
        : this.#shared(
            `other ${at}`,
            pair(
              otherKey([...names]),
              this.compile(others, `${at}/additionalProperties`, depth + 1),
            ),
          )
    const share = (name: string, part: Expression) => this.#shared(`${name} ${at}`, part)
    const content = membersOf(members, extra, share)
    return sequence(text('{'), rule('space'), content, text('}'))
  }

  /** A rule for what occurs in several places. */
  #shared(name: string, expression: Expression): Expression {
    if (expression.kind === 'rule') return expression
    this.rules.set(name, expression)
    return rule(name)
  }

  #count(schema: SchemaObject, keyword: string, at: string): number | undefined {
    const value = schema[keyword]
    if (value === undefined) return undefined
    if (typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= maxRepeats) {
      return value
    }
    return this.#refuse(`${at}/${keyword}`, `must be a whole number from 0 to ${maxRepeats}`)
  }

  #checkOrder(min: number, max: number | null, at: string, lower: string): void {
    if (max !== null && max < min) this.#refuse(at, `is less than ${lower}`)
  }

  #refuse(at: string, why: string): never {
    const place = at === '' ? 'the schema' : at
    throw new AppError('invalid_request', `${this.#param}: ${place} ${why}`, { param: this.#param })
  }
}
