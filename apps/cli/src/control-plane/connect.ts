import { AppError, type ErrorCode, errors } from '@punica/schema'
import { fetchFrom } from '../gateway/fetch-from.ts'
import type { TypedDocumentString } from '../generated/graphql.ts'

/** A refusal as a mutation answers it. */
type Problem = { code: string; message: string; field: string | null }

/** The control plane as one key sees it. Everything rejects with AppError. */
export type ControlPlane = {
  url: string
  authorization: string
  ask<R, V>(document: TypedDocumentString<R, V>, variables: V): Promise<R>
  /** A mutation with the field `result`; rejects with what it answers as its ProblemError. */
  change<T extends object, V>(
    document: TypedDocumentString<{ result: T | Problem }, V>,
    variables: V,
  ): Promise<T>
  /** The data of an operation given as text. */
  execute<T>(query: string, variables: unknown): Promise<T>
}

/** A publication waits for a node that fetches, loads and tries the adapter. */
const timeoutMs = 10 * 60_000

type Options = { url: string; key: string; signal?: AbortSignal }

export const connectControlPlane = ({ url, key, signal }: Options): ControlPlane => {
  const authorization = `Bearer ${key}`

  const execute = async <T>(query: string, variables: unknown): Promise<T> => {
    const response = await fetchFrom(
      `${url}/graphql`,
      {
        method: 'POST',
        headers: { 'content-type': 'application/json', authorization },
        body: JSON.stringify({ query, variables }),
        signal: AbortSignal.any([
          AbortSignal.timeout(timeoutMs),
          ...(signal === undefined ? [] : [signal]),
        ]),
      },
      { what: 'control plane', option: '--url' },
    )
    const { data, errors: problems } = await response.json().catch((cause: unknown) => {
      const message = `${url} answers with HTTP ${response.status}, and not as a control plane does`
      throw new AppError('unavailable', message, { cause })
    })
    const problem = problems?.[0]
    if (problem !== undefined) throw toError(problem.extensions?.code, problem.message)
    return data
  }

  const ask: ControlPlane['ask'] = <R, V>(document: TypedDocumentString<R, V>, variables: V) =>
    execute<R>(String(document), variables)

  return {
    url,
    authorization,
    execute,
    ask,
    change: async (document, variables) => {
      const { result } = await ask(document, variables).catch((cause: unknown) => {
        if (signal?.aborted !== true) throw cause
        const message = 'Interrupted before the control plane answered: it may have been done'
        throw new AppError('cancelled', message, { cause })
      })
      if (isProblem(result)) throw toError(result.code, result.message, result.field)
      return result
    },
  }
}

const isProblem = (result: object): result is Problem => 'code' in result

const isErrorCode = (code: unknown): code is ErrorCode => typeof code === 'string' && code in errors

/** An error of the server in its own words. */
export const toError = (code: unknown, message: string, field?: string | null): AppError =>
  new AppError(isErrorCode(code) ? code : 'internal', message, { param: field ?? undefined })
