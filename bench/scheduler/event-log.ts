import { closeSync, openSync, readFileSync, writeSync } from 'node:fs'
import {
  type Command,
  type LoggedStep,
  readLog,
  type SchedulerEvent,
  type SchedulerOptions,
  toLogHead,
  toLogLine,
} from '@punica/scheduler'
import type { Arrival, Trace } from './trace.ts'

const flushBytes = 1 << 20

/** Opens a log; each call of `write` adds a line. */
export const createEventLog = (path: string, options: SchedulerOptions) => {
  const file = openSync(path, 'w')
  let pending = toLogHead(options)

  const flush = (): void => {
    writeSync(file, pending)
    pending = ''
  }

  return {
    write: (event: SchedulerEvent, commands: readonly Command[]): void => {
      pending += toLogLine(event, commands)
      if (pending.length > flushBytes) flush()
    },
    close: (): void => {
      flush()
      closeSync(file)
    },
  }
}

/** Reads a log of `createEventLog` or of a router (RECORD_FOLDER). Throws when it is malformed. */
export const readEventLog = (path: string): ReturnType<typeof readLog> =>
  readLog(readFileSync(path, 'utf8').trimEnd().split('\n'))

/** The requests of a log as a trace: the same arrivals, against another policy or cluster. */
export const traceOfLog = (path: string): Trace => {
  const { steps } = readEventLog(path)
  const numGenerated = countGenerated(steps)
  // A router's clock counts from 1970, a trace from its own beginning.
  const startMs = steps[0]?.event.nowMs ?? 0
  const arrivals: Arrival[] = []
  for (const { event } of steps) {
    if (event.type !== 'submitted' || event.task.attempt > 0) continue
    const { requestId, tenant, adapter, numPromptTokens, maxNewTokens } = event.task
    const numOutputTokens = numGenerated.get(requestId) ?? maxNewTokens
    const timeMs = event.nowMs - startMs
    arrivals.push({ timeMs, tenant, adapter, numPromptTokens, numOutputTokens, maxNewTokens })
  }
  const durationMs = Math.max(1_000, arrivals.at(-1)?.timeMs ?? 0)
  const description = 'the requests of a recorded log'
  return { name: 'recorded', description, durationMs, arrivals: () => arrivals }
}

/**
 * How long the answers were, as far as the log shows: the last status that named a request, or its
 * last resubmission, says how many tokens it had by then.
 */
const countGenerated = (steps: readonly LoggedStep[]): Map<string, number> => {
  const numPrompt = new Map<string, number>()
  const numGenerated = new Map<string, number>()
  const note = (requestId: string, numTokens: number): void => {
    const generated = Math.max(1, numTokens - (numPrompt.get(requestId) ?? 0))
    numGenerated.set(requestId, Math.max(generated, numGenerated.get(requestId) ?? 0))
  }
  for (const { event } of steps) {
    if (event.type === 'submitted') {
      numPrompt.set(event.task.requestId, event.task.numPromptTokens)
      if (event.task.attempt > 0) note(event.task.requestId, event.task.tokens.length)
    } else if (event.type === 'nodeReported') {
      for (const { requestId, numTokens } of event.status.requests) {
        if (numTokens !== undefined) note(requestId, numTokens)
      }
    }
  }
  return numGenerated
}
