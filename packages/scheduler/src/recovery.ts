import { admitWaiting } from './admit.ts'
import type { SchedulerEvent } from './events.ts'
import type { Node } from './ledger.ts'
import { abandon, aboutPlacement, attemptOf, decide, type State, settlePlacement } from './state.ts'

// A scheduler that takes over knows nothing. Its nodes say what they run, its gateways what they
// wait for: what is running and wanted is adopted, what is wanted and not running goes back to its
// gateway (which submits it again, to be queued by its arrival), what is running and not wanted is
// cancelled.

type Of<T extends SchedulerEvent['type']> = Extract<SchedulerEvent, { type: T }>

/** A request of which its gateway says that a node runs it, which has not reported yet. */
type Expected = {
  readonly requestId: string
  readonly attempt: number
  readonly gatewayId: string
  readonly nodeId: string
  readonly untilMs: number
}

export type Recovery = {
  /** Nothing is placed before: nodes and gateways have yet to answer. */
  settlingUntilMs: number
  /** By request id, oldest first. */
  readonly expected: Map<string, Expected>
  /** What each gateway has said that it waits for, by request id; oldest first. */
  readonly wanted: Map<string, { attempts: ReadonlyMap<string, number>; untilMs: number }>
}

export const tookOver = (state: State, { settleMs }: Of<'tookOver'>): void => {
  state.recovery.settlingUntilMs = state.nowMs + settleMs
}

/** What a gateway waits for, all of it at one moment after this scheduler took over. */
export const gatewayWaits = (state: State, { gatewayId, requests }: Of<'gatewayWaits'>): void => {
  const untilMs = state.nowMs + state.options.heartbeatTimeoutMs
  const attempts = new Map(requests.map(({ requestId, attempt }) => [requestId, attempt]))
  state.recovery.wanted.delete(gatewayId)
  state.recovery.wanted.set(gatewayId, { attempts, untilMs })
  for (const { requestId, attempt, nodeId } of requests) {
    const known = state.requests.get(requestId)
    // Without a node it has no token yet: its gateway submits it anyway.
    if (nodeId === null || (known !== undefined && attemptOf(known) >= attempt)) continue
    const expected = { requestId, attempt, gatewayId, nodeId, untilMs }
    if (state.nodes.has(nodeId)) sendBack(state, expected, 'its node does not run it')
    else state.recovery.expected.set(requestId, expected)
  }
  for (const request of [...state.requests.values()]) {
    if (request.type !== 'placed' || !request.adopted || request.gatewayId !== gatewayId) continue
    if (isWanted(state, { ...request, gatewayId })) continue
    abandon(state, request)
    settlePlacement(state, request)
    decide(state, 'cancel', 'its gateway does not wait for it', aboutPlacement(request))
  }
  admitWaiting(state)
}

/** Whether its gateway waits for this attempt, as far as it has said. */
export const isWanted = (
  state: State,
  { gatewayId, requestId, attempt }: { gatewayId: string; requestId: string; attempt: number },
): boolean => {
  const wanted = state.recovery.wanted.get(gatewayId)
  return wanted === undefined || (wanted.attempts.get(requestId) ?? Infinity) <= attempt
}

/** The first report of a node has been taken over: what it does not run has to be run elsewhere. */
export const settleExpected = (state: State, { status: { nodeId } }: Node): void => {
  for (const expected of state.recovery.expected.values()) {
    if (expected.nodeId !== nodeId) continue
    state.recovery.expected.delete(expected.requestId)
    sendBack(state, expected, 'its node does not run it')
  }
}

/** Nodes that have not reported in time are lost, and what gateways said is old. */
export const expireRecovery = (state: State): void => {
  const { expected, wanted } = state.recovery
  for (const one of expected.values()) {
    if (one.untilMs > state.nowMs) break
    expected.delete(one.requestId)
    sendBack(state, one, 'its node has not reported')
  }
  for (const [gatewayId, { untilMs }] of wanted) {
    if (untilMs > state.nowMs) break
    wanted.delete(gatewayId)
  }
}

/** This scheduler has not been told anything for a while; nobody is silent because of that. */
export const forgiveSilence = (state: State): void => {
  for (const node of state.nodes.values()) node.seenMs = state.nowMs
  for (const gatewayId of state.gateways.keys()) state.gateways.set(gatewayId, state.nowMs)
}

/** Unless it has turned up elsewhere meanwhile. */
const sendBack = (state: State, { requestId, attempt, gatewayId }: Expected, reason: string) => {
  const known = state.requests.get(requestId)
  if (known !== undefined && attemptOf(known) >= attempt) return
  decide(state, 'interrupt', reason, { requestId })
  const cause = 'not_running' as const
  state.commands.push({ type: 'interrupt', gatewayId, requestId, attempt, cause })
}
