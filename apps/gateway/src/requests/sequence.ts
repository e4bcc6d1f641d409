import type { EndReason, FinishReason, Task, TokenLogprobs, WireError } from '@punica/schema'
import type { AnswerText, Piece } from './answer-text.ts'

/** What happened to a sequence. Events that name an older attempt are ignored. */
export type SequenceEvent =
  /** The router has it. */
  | { type: 'queued'; attempt: number }
  /** No router answered the submission. */
  | { type: 'unanswered'; attempt: number }
  /** Nor will it be offered again. */
  | { type: 'given_up'; attempt: number; error: WireError }
  /** A new leader, who may know nothing of it. */
  | { type: 'leader_changed' }
  /** The router will not have it, now or after a while in its queue. */
  | { type: 'refused'; attempt: number; error: WireError }
  /** It is to leave its node, or has. */
  | { type: 'interrupted'; attempt: number }
  | {
      type: 'token'
      attempt: number
      index: number
      token: number
      logprobs?: TokenLogprobs | undefined
      from: Origin
    }
  | {
      type: 'ended'
      attempt: number
      reason: EndReason
      numTokens: number
      error?: WireError | undefined
    }
  /** Messages of this node (process) are lost for good. */
  | { type: 'node_lost'; node: string }
  /** Nothing has been heard of it, nor of its node, for too long. */
  | { type: 'stalled' }

/** The step that made a token. */
export type Origin = { node: string; nodeId: string; numAdapters: number }

/** What is to be done about it, in this order. */
export type SequenceCommand =
  | { type: 'submit'; task: Task; delayMs: number }
  /** The router is to stop it. */
  | { type: 'cancel' }
  | { type: 'accepted' }
  | ({ type: 'delta'; numTokens: number; from: Origin } & Piece)
  | { type: 'finished'; reason: FinishReason; numTokens: number; from: Origin | null }
  | { type: 'failed'; error: WireError }

export type Sequence = {
  start(): SequenceCommand[]
  handle(event: SequenceEvent): SequenceCommand[]
  /** The node that runs it, as far as its tokens tell. */
  node(): string | null
  numTokens(): number
  attempt(): number
  /** A router has had it. */
  accepted(): boolean
}

/** Moves without a token between them. */
const maxIdleMoves = 32
/** Submissions in a row that nobody answered. */
const maxUnanswered = 32

/**
 * The life of one sequence as a state machine: it never does I/O and reads no clock. Whatever makes
 * a sequence leave its node (eviction, drain, a lost node, lost messages), it is submitted again
 * with every token received and its original arrival time. Tokens come in order of their index and
 * each counts once, so that the answer is one unbroken text.
 */
export const createSequence = (
  task: SequenceTask,
  promptTokens: readonly number[],
  text: AnswerText,
): Sequence => {
  const state: State = {
    task,
    promptTokens,
    text,
    tokens: [],
    attempt: 0,
    origin: null,
    node: null,
    accepted: false,
    ended: false,
    numIdleMoves: 0,
    numUnanswered: 0,
  }
  return {
    start: () => [submit(state, 0)],
    handle: (event) => {
      const isOld = 'attempt' in event && event.attempt !== state.attempt
      return state.ended || isOld ? [] : apply(state, event)
    },
    node: () => state.node,
    numTokens: () => state.tokens.length,
    attempt: () => state.attempt,
    accepted: () => state.accepted,
  }
}

/** What every attempt has in common. */
export type SequenceTask = Omit<Task, 'attempt' | 'tokens' | 'numPromptTokens'>

type State = {
  readonly task: SequenceTask
  readonly promptTokens: readonly number[]
  readonly text: AnswerText
  /** Received so far, over all attempts. */
  readonly tokens: number[]
  attempt: number
  /** Of the newest token. */
  origin: Origin | null
  /** Of the current attempt. */
  node: string | null
  accepted: boolean
  ended: boolean
  numIdleMoves: number
  numUnanswered: number
}

const apply = (state: State, event: SequenceEvent): SequenceCommand[] => {
  switch (event.type) {
    case 'queued':
      return accept(state)
    case 'unanswered':
      return unanswered(state)
    case 'given_up':
      return giveUp(state, event.error)
    case 'leader_changed':
      // What has a node stays there: the leader learns of it, and says if it is not so.
      return state.node === null ? [submit(state, 0)] : []
    case 'refused':
      // A client that has tokens is not told to come back later: it is this one that comes back.
      return state.tokens.length > 0 && mayPass(event.error)
        ? submitAgain(state, event.error)
        : fail(state, event.error)
    case 'interrupted':
      return submitAgain(state)
    case 'token':
      return receive(state, event)
    case 'ended':
      return end(state, event)
    case 'node_lost':
      return state.node === event.node || state.node === null ? submitAgain(state) : []
    case 'stalled':
      // To a router that knows it a repeated submission changes nothing; another one needs it.
      return state.node === null ? [submit(state, 0)] : submitAgain(state)
  }
}

type Of<T extends SequenceEvent['type']> = Extract<SequenceEvent, { type: T }>

const receive = (state: State, event: Of<'token'>): SequenceCommand[] => {
  const { task, tokens } = state
  state.node = event.from.node
  if (event.index < tokens.length) return []
  if (event.index > tokens.length) return submitAgain(state)
  state.origin = event.from
  state.numIdleMoves = 0
  tokens.push(event.token)
  // OpenAI lists no log-probabilities for the token that ends the answer, as it is no text.
  const isLast = !task.ignoreEos && task.stopTokens.includes(event.token)
  const piece = state.text.push(event.token, isLast ? undefined : event.logprobs)
  const commands = [...accept(state), ...show(state, piece)]
  return piece.stopped ? [...commands, { type: 'cancel' }, finish(state, 'stop')] : commands
}

const end = (state: State, event: Of<'ended'>): SequenceCommand[] => {
  switch (event.reason) {
    case 'stop':
    case 'length':
      if (state.tokens.length < event.numTokens) return submitAgain(state)
      return [...accept(state), ...show(state, state.text.flush()), finish(state, event.reason)]
    case 'error': {
      const error: WireError = event.error ?? { code: 'internal', message: 'Internal error' }
      return mayPass(error) ? submitAgain(state, error) : fail(state, error)
    }
    case 'evicted':
    case 'cancelled':
      // Not cancelled by us: the router gave it up while this gateway was out of its sight.
      return submitAgain(state)
  }
}

const unanswered = (state: State): SequenceCommand[] => {
  state.numUnanswered++
  if (state.numUnanswered >= maxUnanswered) {
    const message = 'No scheduler answers at present; try again later'
    return giveUp(state, { code: 'unavailable', message, retryAfterMs: 1_000 })
  }
  // The submission may have arrived all the same, so it stays the same attempt.
  return [submit(state, backoffMs(state.numUnanswered))]
}

/** Some router may have it all the same. */
const giveUp = (state: State, error: WireError): SequenceCommand[] => [
  { type: 'cancel' },
  ...fail(state, error),
]

/** `error` is why, where a node or the router gave a reason; it is the client's in the end. */
const submitAgain = (state: State, error?: WireError): SequenceCommand[] => {
  const reason = whyComplete(state)
  if (reason !== null) return [...show(state, state.text.flush()), finish(state, reason)]
  if (state.numIdleMoves >= maxIdleMoves) {
    const message = `The request was moved ${maxIdleMoves} times without a token; try again later`
    const moved: WireError = { code: 'unavailable', message, retryAfterMs: 1_000 }
    return giveUp(state, error ?? moved)
  }
  const delayMs = backoffMs(state.numIdleMoves - 2)
  state.numIdleMoves++
  state.attempt++
  state.node = null
  return [submit(state, delayMs)]
}

/** Every token has come, and only the message that says so has not. */
const whyComplete = ({ task, tokens }: State): FinishReason | null => {
  const last = tokens.at(-1)
  if (last !== undefined && !task.ignoreEos && task.stopTokens.includes(last)) return 'stop'
  return tokens.length >= task.maxNewTokens ? 'length' : null
}

const submit = (
  { task, attempt, promptTokens, tokens, accepted }: State,
  delayMs: number,
): SequenceCommand => ({
  type: 'submit',
  task: {
    ...task,
    attempt,
    tokens: [...promptTokens, ...tokens],
    numPromptTokens: promptTokens.length,
    ...(accepted ? { wasQueued: true } : {}),
  },
  delayMs,
})

const accept = (state: State): SequenceCommand[] => {
  state.numUnanswered = 0
  if (state.accepted) return []
  state.accepted = true
  return [{ type: 'accepted' }]
}

const show = ({ origin, tokens }: State, { text, details }: Piece): SequenceCommand[] =>
  origin === null || (text === '' && details.length === 0)
    ? []
    : [{ type: 'delta', text, details, numTokens: tokens.length, from: origin }]

const finish = (state: State, reason: FinishReason): SequenceCommand => {
  state.ended = true
  return { type: 'finished', reason, numTokens: state.tokens.length, from: state.origin }
}

const fail = (state: State, error: WireError): SequenceCommand[] => {
  state.ended = true
  return [{ type: 'failed', error }]
}

/** Another node, or the same one later, may do better. */
const mayPass = ({ code }: WireError): boolean => code === 'unavailable' || code === 'overloaded'

/** 0, then doubling from 100 ms up to 2 s. */
const backoffMs = (numTries: number): number =>
  numTries <= 0 ? 0 : Math.min(2_000, 50 * 2 ** numTries)
