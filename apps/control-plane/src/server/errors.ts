import { type AppError, toAppError } from '@punica/schema'
import type { Logger } from '@punica/service'
import { GraphQLError, type GraphQLFormattedError } from 'graphql'
import { z } from 'zod'
import { explainDatabaseError } from '../db/database.ts'

/** Codes by which Apollo Server says that the fault lies in the request. */
const requestErrors = new Set([
  'GRAPHQL_PARSE_FAILED',
  'GRAPHQL_VALIDATION_FAILED',
  'BAD_USER_INPUT',
  'BAD_REQUEST',
  'OPERATION_RESOLUTION_FAILURE',
  'PERSISTED_QUERY_NOT_SUPPORTED',
])

/** Not a failure but a step of the protocol: the client sends hash and text next. */
const persistedQueryNotFound = 'PERSISTED_QUERY_NOT_FOUND'

/**
 * The one place where a failure becomes an entry of `errors`: `extensions.code` is of our closed
 * table, and what is not meant for the caller goes to the log instead.
 */
export const createErrorFormatter =
  (log: Logger) =>
  (formatted: GraphQLFormattedError, error: unknown): GraphQLFormattedError => {
    const { path, locations } = formatted
    const where = {
      ...(path === undefined ? {} : { path }),
      ...(locations === undefined ? {} : { locations }),
    }
    const code = formatted.extensions?.code
    if (code === persistedQueryNotFound) {
      return { message: formatted.message, extensions: { code } }
    }
    if ((typeof code === 'string' && requestErrors.has(code)) || isRefusedByServer(error)) {
      const extensions = { code: 'invalid_request' }
      return { ...where, message: formatted.message, extensions }
    }
    const known = toAppError(explainDatabaseError(unwrap(error)))
    if (known.code === 'internal') log.error({ err: known.cause, path }, 'operation failed')
    const { param } = known
    const extensions = { code: known.code, ...(param === undefined ? {} : { field: param }) }
    return { ...where, message: known.message, extensions }
  }

/** Of its own refusals Apollo Server gives some a status instead of a code. */
const isRefusedByServer = (error: unknown): boolean =>
  error instanceof GraphQLError &&
  error.originalError === undefined &&
  z.object({ http: z.object({ status: z.literal(400) }) }).safeParse(error.extensions).success

/** What a resolver threw, below what graphql-js says of where it did. */
const unwrap = (error: unknown): unknown =>
  error instanceof GraphQLError && error.originalError !== undefined
    ? unwrap(error.originalError)
    : error

/** An AppError that ends a whole HTTP request before any field is resolved. */
export const toRequestError = (error: AppError, httpStatus: number): GraphQLError =>
  new GraphQLError(error.message, {
    originalError: error,
    extensions: { code: error.code, http: { status: httpStatus } },
  })
