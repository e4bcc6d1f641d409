import type { Bus } from '@punica/bus'
import { channels, type WaitingReply } from '@punica/schema'
import type { Logger, Refusals, Span } from '@punica/service'
import type { AnswerText } from './answer-text.ts'
import type { HoldingLimits } from './holding.ts'
import { type Inbox, openInbox } from './inbox.ts'
import { nodeIdOf } from './node-streams.ts'
import {
  createSequence,
  type Sequence,
  type SequenceCommand,
  type SequenceEvent,
  type SequenceTask,
} from './sequence.ts'
import { createSilence } from './silence.ts'
import { createSubmissions } from './submissions.ts'
import { createUnwanted } from './unwanted.ts'
import { createWaitingPages } from './waiting-pages.ts'

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

export type SequencesDeps = HoldingLimits & {
  bus: Pick<Bus, 'publish' | 'request' | 'serve' | 'subscribe'>
  log: Logger
  refusals: Pick<Refusals, 'refuse'>
  pool: string
  gatewayId: string
  clock: () => number
}

type Running = {
  sequence: Sequence
  span: Span
  attempt: number
  listener: (news: SequenceNews) => void
  /** When anything was heard of it last. */
  touchedMs: number
}

/** Connects the sequences' state machines to the bus: messages become events, commands messages. */
export const createSequences = (deps: SequencesDeps): Sequences => {
  const { bus, log, pool, gatewayId, clock } = deps
  const running = new Map<string, Running>()
  const unwanted = createUnwanted()
  const submissions = createSubmissions(deps, handle)
  const silence = createSilence(clock())
  const inbox = openInbox({
    ...deps,
    onEvent: handle,
    onLeader,
    onLost: (node) => {
      for (const requestId of [...running.keys()]) handle(requestId, { type: 'node_lost', node })
    },
  })

  const answerWaiting = createWaitingPages(() => listWaiting(running))
  const stopAnswering = bus.serve(channels.waiting(gatewayId), answerWaiting)

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
      publishStatus()
      const stalled = silence(nowMs, listHeard(running, inbox))
      for (const requestId of stalled) handle(requestId, { type: 'stalled' })
    },
    close: () => {
      inbox.close()
      stopAnswering()
      for (const requestId of running.keys()) forget(requestId)
    },
  }

  function publishStatus(): void {
    const status = { gatewayId, requests: running.size, leaving: false }
    bus.publish(channels.gatewayStatus(pool), status)
  }

  /** It asks what waits here once it has heard of this gateway; what no node has, it is offered. */
  function onLeader(epoch: number): void {
    log.info({ epoch }, 'leader changed')
    publishStatus()
    for (const requestId of [...running.keys()]) handle(requestId, { type: 'leader_changed' })
  }

  function handle(requestId: string, event: SequenceEvent, node?: string): void {
    const entry = running.get(requestId)
    if (entry === undefined) {
      if (event.type === 'token' && unwanted.shouldCancel(requestId, clock())) {
        publishCancel(requestId)
      }
      return
    }
    if (refuseForeign(deps, entry, event, node)) return
    entry.touchedMs = clock()
    run(requestId, noteMove(entry, event, entry.sequence.handle(event)))
  }

  function run(requestId: string, commands: readonly SequenceCommand[]): void {
    for (const command of commands) {
      const entry = running.get(requestId)
      if (entry === undefined) return
      if (command.type === 'submit') submissions.offer(command.task, { ...command, ...entry.span })
      else if (command.type === 'cancel') publishCancel(requestId)
      else {
        if (command.type === 'accepted') submissions.accepted(requestId)
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

  function publishCancel(requestId: string): void {
    bus.publish(channels.cancel(pool), { requestId, gatewayId })
  }

  /** Returns whether it was running. */
  function forget(requestId: string): boolean {
    if (!running.has(requestId)) return false
    submissions.forget(requestId)
    unwanted.note(requestId, clock())
    return running.delete(requestId)
  }
}

const toRunning = (
  begun: Pick<Running, 'sequence' | 'span' | 'listener'>,
  nowMs: number,
): Running => ({ ...begun, attempt: 0, touchedMs: nowMs })

/** An attempt runs on one node; what another says of it is not true. Returns whether it is that. */
const refuseForeign = (
  { refusals, gatewayId }: SequencesDeps,
  { sequence, attempt }: Running,
  event: SequenceEvent,
  node: string | undefined,
): boolean => {
  const own = sequence.node()
  if (node === undefined || own === null || own === node) return false
  if (!('attempt' in event) || event.attempt !== attempt) return false
  refusals.refuse(channels.tokens(gatewayId).subject, 'wrong_node')
  return true
}

/** A new attempt is a move; the event that caused it says why. Returns the commands. */
const noteMove = (
  entry: Pick<Running, 'span' | 'attempt'>,
  event: SequenceEvent,
  commands: readonly SequenceCommand[],
): readonly SequenceCommand[] => {
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
  return commands
}

type Entries = ReadonlyMap<string, Running>

const listHeard = (running: Entries, { heardMs }: Pick<Inbox, 'heardMs'>) =>
  [...running].map(([requestId, { sequence, touchedMs }]) => {
    const node = sequence.node()
    const nodeHeardMs = node === null ? 0 : heardMs(node)
    return { requestId, node, heardMs: Math.max(touchedMs, nodeHeardMs) }
  })

const listWaiting = (running: Entries): WaitingReply['requests'] =>
  [...running].map(([requestId, { sequence }]) => {
    const node = sequence.node()
    const nodeId = node === null ? null : nodeIdOf(node)
    return { requestId, attempt: sequence.attempt(), nodeId }
  })
