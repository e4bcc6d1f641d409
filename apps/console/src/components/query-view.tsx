import type { ReactNode } from 'react'
import type { UseQueryExecute, UseQueryState } from 'urql'
import { toProblem } from '../connection/problem.ts'
import { ProblemNote } from './problem-note.tsx'
import { Skeleton } from './skeleton.tsx'

type Props<Data> = {
  query: [UseQueryState<Data>, UseQueryExecute]
  children: (data: Data) => ReactNode
}

/** A query's answer; until it is there, a placeholder, and what went wrong above what is known. */
export const QueryView = <Data,>({ query: [state, refetch], children }: Props<Data>) => {
  // Beside errors GraphQL may answer null, which urql's type does not say.
  const data = state.data ?? null
  return (
    <>
      {state.error !== undefined && (
        <ProblemNote
          problem={toProblem(state.error)}
          onRetry={() => refetch({ requestPolicy: 'network-only' })}
        />
      )}
      {data !== null && children(data)}
      {data === null && state.error === undefined && <Skeleton />}
    </>
  )
}
