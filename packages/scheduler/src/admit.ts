import type { Task } from '@punica/schema'
import { addPlacement, type Node, shareOf, toDemand } from './ledger.ts'
import { couldEverRun, place, placeTooSlow, whyPlaced } from './place.ts'
import type { Waiting } from './queue.ts'
import { createRanking } from './ranking.ts'
import { decide, isSettling, reject, type Serving, type State, track } from './state.ts'
import { mostTokens } from './tenants.ts'

/** In the order of the queue: a request that does not fit blocks those behind it. */
export const admitWaiting = (state: State): void => {
  let waiting = state.queue.first()
  if (waiting === undefined || isSettling(state)) return
  const { nodes, ranking } = serving(state)
  const { pace } = state
  for (; waiting !== undefined; waiting = state.queue.first()) {
    const { task } = waiting
    const demand = toDemand(task)
    const node = place(demand, ranking, pace) ?? placeTooSlow(demand, nodes, pace)
    if (node !== null) assign(state, node, waiting, whyPlaced(node, demand, pace))
    else if (isHopeless(task, nodes)) reject(state, waiting, tooLarge(task, nodes))
    else return
  }
}

/** Nodes that may be given work. */
export const servingNodes = (state: State): readonly Node[] => serving(state).nodes

export const serving = (state: State): Serving => {
  state.serving ??= findServing(state)
  return state.serving
}

const findServing = ({ nodes: known, options, cordons }: State): Serving => {
  const all = [...known.values()]
  const baseModel = options.baseModel ?? all[0]?.status.baseModel
  const nodes = all.filter(
    ({ status }) =>
      status.state === 'ready' && status.baseModel === baseModel && !cordons.has(status.nodeId),
  )
  const ranking = createRanking(nodes)
  for (const node of all) node.ranking = null
  for (const node of nodes) node.ranking = ranking
  return { nodes, ranking }
}

export const assign = (state: State, node: Node, waiting: Waiting, reason: string): void => {
  const { task } = waiting
  const { requestId, attempt, gatewayId, tenant } = task
  const { nodeId } = node.status
  decide(state, attempt === 0 ? 'place' : 'move', reason, { requestId, tenant, nodeId })
  const placement = {
    ...shareOf(node, toDemand(task)),
    type: 'placed' as const,
    requestId,
    attempt,
    nodeId,
    gatewayId,
    tenant,
    placedMs: state.nowMs,
    maxTokens: mostTokens(task),
    charge: waiting.charge,
    waiting,
    mentioned: false,
    unwanted: false,
    evictMs: null,
    adopted: false,
  }
  state.queue.take(waiting)
  addPlacement(node, placement)
  track(state, placement)
  state.commands.push({ type: 'assign', nodeId, task })
}

/** It would block the queue for ever: no node could run it even if it ran nothing else. */
const isHopeless = (task: Task, nodes: readonly Node[]): boolean =>
  nodes.length > 0 && nodes.every((node) => !couldEverRun(node, toDemand(task)))

const tooLarge = (task: Task, nodes: readonly Node[]) => {
  const maxContext = Math.max(...nodes.map(({ status }) => status.maxContext))
  const numTokens = task.tokens.length
  return {
    code: 'context_length_exceeded' as const,
    param: 'prompt',
    message:
      numTokens >= maxContext
        ? `The request has ${numTokens} tokens and leaves no room to generate: the context of the largest node is ${maxContext} tokens. Shorten it.`
        : `The ${numTokens} tokens of the request and its adapter do not fit the memory of any node of the pool. Shorten it.`,
  }
}
