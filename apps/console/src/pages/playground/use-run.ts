import { useEffect, useRef, useState } from 'react'
import { stringifyDocument } from 'urql'
import type { Problem } from '../../connection/problem.ts'
import {
  PlaygroundDocument,
  type PlaygroundInput,
  type PlaygroundSubscription,
} from '../../generated/graphql.ts'
import { useSession } from '../../session/context.tsx'

export type Answer = PlaygroundSubscription['playground']['answers'][number]

export type Run = {
  models: readonly string[]
  isRunning: boolean
  /** By model; one that has said nothing yet is missing. */
  answers: Readonly<Record<string, Answer>>
  /** What ended all of it. */
  problem: Problem | null
}

const query = stringifyDocument(PlaygroundDocument)

/** Puts what has come behind what was there. */
export const addAnswers = (run: Run, news: readonly Answer[]): Run => {
  const answers = { ...run.answers }
  for (const answer of news) {
    const before = answers[answer.model]?.text ?? ''
    answers[answer.model] = { ...answer, text: before + answer.text }
  }
  return { ...run, answers }
}

/**
 * One prompt to several models. It has a socket of its own: a run that broke off must not begin
 * again by itself, as it costs tokens.
 */
export const useRun = () => {
  const { connection } = useSession()
  const [run, setRun] = useState<Run | null>(null)
  const stop = useRef(() => {})
  useEffect(() => () => stop.current(), [])

  const start = (input: PlaygroundInput): void => {
    stop.current()
    setRun({ models: input.models, isRunning: true, answers: {}, problem: null })
    const socket = connection.openOnce()
    let isOver = false
    const end = (problem: Problem | null): void => {
      if (isOver) return
      isOver = true
      setRun((before) => before && { ...before, isRunning: false, problem })
      void socket.dispose()
    }
    socket.subscribe<PlaygroundSubscription>(
      { query, variables: { input } },
      {
        next: ({ data, errors }) => {
          const [error] = errors ?? []
          if (error !== undefined) return end(toProblem([error]))
          if (data) setRun((before) => before && addAnswers(before, data.playground.answers))
        },
        error: (cause) => end(toProblem(cause)),
        complete: () => end(null),
      },
    )
    stop.current = () => end(null)
  }
  return { run, start, stop: () => stop.current() }
}

type Refusal = { message: string; extensions?: Record<string, unknown> }

const isRefusal = (cause: unknown): cause is readonly Refusal[] =>
  Array.isArray(cause) && cause.length > 0

const toProblem = (cause: unknown): Problem => {
  if (!isRefusal(cause)) return brokenOff
  const [first] = cause
  const { code, field } = first?.extensions ?? {}
  return {
    code: typeof code === 'string' ? code : 'internal',
    message: first?.message ?? brokenOff.message,
    field: typeof field === 'string' ? field : null,
  }
}

const brokenOff: Problem = {
  code: 'unreachable',
  message:
    'The connection broke off, and with it the answers. What has arrived stays; run it again.',
  field: null,
}
