import type { Task } from '@punica/schema'
import { adapterPagesFor, addPlacement, kvPagesFor, type Node } from './ledger.ts'
import { couldEverRun, place, whyPlaced } from './place.ts'
import type { Waiting } from './queue.ts'
import { decide, reject, type State } from './state.ts'

/** First come, first served: a request that does not fit blocks those behind it. */
export const admitWaiting = (state: State): void => {
  let waiting = state.queue.first()
  if (waiting === undefined) return
  const nodes = servingNodes(state)
  for (; waiting !== undefined; waiting = state.queue.first()) {
    const { task } = waiting
    const node = place(task, nodes)
    if (node !== null) assign(state, node, waiting)
    else if (isHopeless(task, nodes)) reject(state, waiting, tooLarge(task, nodes))
    else return
  }
}

/** Nodes that may be given work. */
export const servingNodes = (state: State): Node[] => {
  const nodes = [...state.nodes.values()]
  const baseModel = state.options.baseModel ?? nodes[0]?.status.baseModel
  return nodes.filter(({ status }) => status.state === 'ready' && status.baseModel === baseModel)
}

const assign = (state: State, node: Node, waiting: Waiting): void => {
  const { task } = waiting
  const { requestId, attempt, gatewayId, tenant, adapter } = task
  const { nodeId } = node.status
  decide(state, attempt === 0 ? 'place' : 'move', whyPlaced(node, task), {
    requestId,
    tenant,
    nodeId,
  })
  const placement = {
    type: 'placed' as const,
    requestId,
    attempt,
    nodeId,
    gatewayId,
    tenant,
    numKvPages: kvPagesFor(node, task),
    adapter:
      adapter === null ? null : { digest: adapter.digest, numPages: adapterPagesFor(node, task) },
    waiting,
    mentioned: false,
    unwanted: false,
  }
  state.queue.remove(waiting)
  addPlacement(node, placement)
  state.requests.set(requestId, placement)
  state.commands.push({ type: 'assign', nodeId, task })
}

/** It would block the queue for ever: no node could run it even if it ran nothing else. */
const isHopeless = (task: Task, nodes: readonly Node[]): boolean =>
  nodes.length > 0 && nodes.every((node) => !couldEverRun(node, task))

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
