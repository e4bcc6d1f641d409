import { type ApiEvent, toAppError } from '@punica/schema'
import type { PlaygroundAnswer } from '../generated/graphql.ts'

/** What one model has answered: all of it in numbers, and the text that was not taken yet. */
export type Answer = {
  handle(event: ApiEvent, nowMs: number): void
  fail(cause: unknown): void
  /** What has come since it was last taken; null where nothing has. */
  take(): PlaygroundAnswer | null
}

/** Gathers the events of one request, sent at `sentMs`, into updates. It does no I/O. */
export const createAnswer = (model: string, sentMs: number): Answer => {
  let isNew = false
  let firstMs: number | null = null
  const answer: PlaygroundAnswer = {
    model,
    text: '',
    numTokens: 0,
    nodeId: null,
    adaptersInBatch: 0,
    timeToFirstTokenMs: null,
    generationMs: 0,
    finishReason: null,
    problem: null,
  }
  return {
    handle: (event, nowMs) => {
      if (event.type === 'delta') {
        firstMs ??= nowMs
        answer.text += event.text
        answer.numTokens = event.numTokens
        answer.nodeId = event.nodeId
        answer.adaptersInBatch = event.numAdapters
        answer.timeToFirstTokenMs = firstMs - sentMs
        answer.generationMs = nowMs - firstMs
      } else if (event.type === 'finished') {
        answer.finishReason = event.reason === 'stop' ? 'STOP' : 'LENGTH'
      } else {
        return
      }
      isNew = true
    },
    fail: (cause) => {
      const { code, message, param } = toAppError(cause)
      answer.problem = { code, message, field: param ?? null }
      isNew = true
    },
    take: () => {
      if (!isNew) return null
      isNew = false
      const taken = { ...answer }
      answer.text = ''
      return taken
    },
  }
}
