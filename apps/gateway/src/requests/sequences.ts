import type { Bus } from '@punica/bus'
import { channels, type Task, toAppError, toWireError } from '@punica/schema'
import type { Logger, Span } from '@punica/service'
import type { AnswerText } from './answer-text.ts'
import { openInbox } from './inbox.ts'
import {
  createSequence,
  type Sequence,
  type SequenceCommand,
  type SequenceEvent,
  type SequenceTask,
} from './sequence.ts'
import { createUnwanted } from './unwanted.ts'

/** What whoever asked for a sequence is told of it. */
export type SequenceNews = Exclude<SequenceCommand, { type: 'submit' | 'cancel' }>

type NewSequence = {
  task: SequenceTask
  promptTokens: readonly number[]
  text: AnswerText
  /** Of the call: what it goes through belongs to it. */
  span: Span
  listener: (news: SequenceNews) => void
}

/** The sequences of this gateway, each run by whichever node the router finds. */
export type Sequences = {
  /** `cancel` stops it without further news. */
  start(sequence: NewSequence): { cancel(): void }
  numRunning(): number
  /** Due about once a second: says that this gateway lives, and notices silence. */
  tick(nowMs: number): void
  close(): void
}

export type SequencesDeps = {
  bus: Pick<Bus, 'publish' | 'request' | 'subscribe'>
  log: Logger
  pool: string
  gatewayId: string
  clock: () => number
}

/** A router answers at once or not at all. */
const submitTimeoutMs = 2_000
/** Nodes send a heartbeat every second, and a router loses a silent one in a few. */
const maxSilenceMs = 15_000

type Running = {
  sequence: Sequence
  span: Span
  attempt: number
  listener: (news: SequenceNews) => void
  /** When anything was heard of it last. */
  touchedMs: number
  timer: NodeJS.Timeout | undefined
}

/** Connects the sequences' state machines to the bus: messages become events, commands messages. */
export const createSequences = (deps: SequencesDeps): Sequences => {
  const { bus, log, pool, gatewayId, clock } = deps
  const running = new Map<string, Running>()
  const unwanted = createUnwanted()
  const inbox = openInbox({
    ...deps,
    onEvent: handle,
    onLost: (node) => {
      for (const requestId of [...running.keys()]) handle(requestId, { type: 'node_lost', node })
    },
  })

  return {
    start: ({ task, promptTokens, text, span, listener }) => {
      const { requestId } = task
      const sequence = createSequence(task, promptTokens, text)
      running.set(requestId, toRunning({ sequence, span, listener }, clock()))
      run(requestId, sequence.start())
      return {
        cancel: () => {
          if (forget(requestId)) publishCancel(requestId)
        },
      }
    },
    numRunning: () => running.size,
    tick: (nowMs) => {
      const status = { gatewayId, requests: running.size, leaving: false }
      bus.publish(channels.gatewayStatus(pool), status)
      for (const [requestId, { sequence, touchedMs }] of running) {
        const node = sequence.node()
        const heardMs = Math.max(touchedMs, node === null ? 0 : inbox.heardMs(node))
        if (nowMs - heardMs > maxSilenceMs) handle(requestId, { type: 'stalled' })
      }
    },
    close: () => {
      inbox.close()
      for (const requestId of running.keys()) forget(requestId)
    },
  }

  function handle(requestId: string, event: SequenceEvent): void {
    const entry = running.get(requestId)
    if (entry === undefined) {
      if (event.type === 'token' && unwanted.shouldCancel(requestId, clock())) {
        publishCancel(requestId)
      }
      return
    }
    entry.touchedMs = clock()
    const commands = entry.sequence.handle(event)
    noteMove(entry, event, commands)
    run(requestId, commands)
  }

  function run(requestId: string, commands: readonly SequenceCommand[]): void {
    for (const command of commands) {
      const entry = running.get(requestId)
      if (entry === undefined) return
      if (command.type === 'submit') submitLater(entry, command.task, command.delayMs)
      else if (command.type === 'cancel') publishCancel(requestId)
      else {
        if (command.type === 'finished' || command.type === 'failed') forget(requestId)
        tell(requestId, entry, command)
      }
    }
  }

  /** A listener that throws must not cost the other sequences of a batch their tokens. */
  function tell(requestId: string, { listener }: Running, news: SequenceNews): void {
    try {
      listener(news)
    } catch (err) {
      log.error({ err, requestId }, 'answer could not be handed on')
      if (forget(requestId)) publishCancel(requestId)
    }
  }

  function submitLater(entry: Running, task: Task, delayMs: number): void {
    const submitNow = (): void => {
      void submit(deps, task, entry.span).then((event) => handle(task.requestId, event))
    }
    clearTimeout(entry.timer)
    // Never from within: whoever starts a sequence has not got it in hand yet.
    if (delayMs === 0) queueMicrotask(submitNow)
    else entry.timer = setTimeout(submitNow, delayMs)
  }

  function publishCancel(requestId: string): void {
    bus.publish(channels.cancel(pool), { requestId, gatewayId })
  }

  /** Returns whether it was running. */
  function forget(requestId: string): boolean {
    const entry = running.get(requestId)
    if (entry === undefined) return false
    clearTimeout(entry.timer)
    unwanted.note(requestId, clock())
    return running.delete(requestId)
  }
}

const toRunning = (
  begun: Pick<Running, 'sequence' | 'span' | 'listener'>,
  nowMs: number,
): Running => ({ ...begun, attempt: 0, touchedMs: nowMs, timer: undefined })

/** A new attempt is a move; the event that caused it says why. */
const noteMove = (
  entry: Pick<Running, 'span' | 'attempt'>,
  event: SequenceEvent,
  commands: readonly SequenceCommand[],
): void => {
  for (const command of commands) {
    if (command.type !== 'submit' || command.task.attempt === entry.attempt) continue
    const { requestId, attempt, tokens, numPromptTokens } = command.task
    entry.attempt = attempt
    entry.span.event('moved', {
      'punica.request_id': requestId,
      'punica.attempt': attempt,
      'punica.generated_tokens': tokens.length - numPromptTokens,
      'punica.reason': event.type === 'ended' ? event.reason : event.type,
    })
  }
}

/** Hands a task to the router; whatever comes of it is an event. */
const submit = async (
  { bus, log, pool }: SequencesDeps,
  task: Task,
  { traceparent }: Span,
): Promise<SequenceEvent> => {
  const { requestId, attempt } = task
  try {
    const reply = await bus.request(channels.submit(pool), task, {
      timeoutMs: submitTimeoutMs,
      traceparent,
    })
    switch (reply.type) {
      case 'queued':
        return { type: 'queued', attempt }
      case 'refused':
        return { type: 'refused', attempt, error: reply.error }
      case 'not_leading':
        return { type: 'unanswered', attempt }
    }
  } catch (err) {
    log.debug({ err, requestId, attempt }, 'submission failed')
    const error = toAppError(err)
    return error.code === 'unavailable'
      ? { type: 'unanswered', attempt }
      : { type: 'refused', attempt, error: toWireError(error) }
  }
}
