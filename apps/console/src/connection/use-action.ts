import { type TypedDocumentNode, useMutation } from 'urql'
import { type Problem, toProblem } from './problem.ts'

/** What a mutation answers: its payload, or what went wrong. */
export type Outcome<Payload> = { ok: true; payload: Payload } | { ok: false; problem: Problem }

type Refusal = {
  __typename: 'ProblemError'
  code: string
  message: string
  field: string | null
}

/**
 * A mutation whose field is named `result` and answers a payload or a ProblemError. A refusal, an
 * error and no answer at all come out alike, so that a form has one case for what went wrong.
 */
export const useAction = <Result extends { __typename: string }, Variables extends object>(
  document: TypedDocumentNode<{ result: Result }, Variables>,
): [
  run: (variables: Variables) => Promise<Outcome<Exclude<Result, Refusal>>>,
  isRunning: boolean,
] => {
  const [{ fetching }, execute] = useMutation(document)
  const run = async (variables: Variables): Promise<Outcome<Exclude<Result, Refusal>>> => {
    const { data, error } = await execute(variables)
    if (error !== undefined) return { ok: false, problem: toProblem(error) }
    const result = data?.result
    if (result === undefined) return { ok: false, problem: noAnswer }
    return isRefusal(result)
      ? { ok: false, problem: result }
      : // Nothing else has the type's name: it is a payload.
        { ok: true, payload: result as Exclude<Result, Refusal> }
  }
  return [run, fetching]
}

const noAnswer: Problem = { code: 'internal', message: 'The answer was empty.', field: null }

const isRefusal = (result: { __typename: string }): result is Refusal =>
  result.__typename === 'ProblemError'
