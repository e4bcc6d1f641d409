import { GraphQLError, GraphQLScalarType, Kind } from 'graphql'

const instant = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}:\d{2})$/

const toDate = (value: unknown): Date => {
  const date = typeof value === 'string' && instant.test(value) ? new Date(value) : null
  if (date !== null && !Number.isNaN(date.getTime())) return date
  throw new GraphQLError('must be an instant such as 2030-01-31T12:00:00Z')
}

export const DateTime = new GraphQLScalarType<Date, string>({
  name: 'DateTime',
  serialize: (value) => {
    if (value instanceof Date) return value.toISOString()
    throw new GraphQLError('is not a Date')
  },
  parseValue: toDate,
  parseLiteral: (node) => toDate(node.kind === Kind.STRING ? node.value : null),
})

const toLong = (value: unknown): number => {
  const long = typeof value === 'bigint' || typeof value === 'number' ? Number(value) : Number.NaN
  if (Number.isSafeInteger(long)) return long
  throw new GraphQLError('must be a whole number within ±(2^53 - 1)')
}

export const Long = new GraphQLScalarType<number, number>({
  name: 'Long',
  serialize: toLong,
  parseValue: toLong,
  parseLiteral: (node) => toLong(node.kind === Kind.INT ? Number(node.value) : null),
})
