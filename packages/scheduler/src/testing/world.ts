import type { EndReason, Task } from '@punica/schema'
import type { Command } from '../events.ts'
import { adapters, createFakeNode, type Message, type Running } from './fake-node.ts'
import { task } from './fixtures.ts'
import type { Random } from './random.ts'

/** What a client sees of its request: under way, or over. */
type Client = { task: Task; outcome: 'open' | 'done' | 'cancelled' | 'rejected' }

export const tenants = ['acme', 'globex', 'initech']

/**
 * Pretended nodes and one gateway around a scheduler, in which messages take their time, some are
 * lost, and nodes die. It knows what really runs, so that a test can compare.
 */
export const createWorld = (
  random: Random,
  { numNodes, numPages }: { numNodes: number; numPages: number },
) => {
  const clients = new Map<string, Client>()
  /** From the gateway to the scheduler, in order. */
  const submissions: Message[] = []
  let numRequests = 0

  const newestAttempt = (requestId: string, attempt: number): Client | undefined => {
    const client = clients.get(requestId)
    return client?.outcome === 'open' && client.task.attempt === attempt ? client : undefined
  }

  /** The gateway submits it again with the tokens it has. */
  const resubmit = (requestId: string, attempt: number, numTokens?: number): void => {
    const client = newestAttempt(requestId, attempt)
    if (client === undefined) return
    const length = numTokens ?? client.task.tokens.length
    client.task = { ...client.task, attempt: attempt + 1, tokens: new Array(length).fill(1) }
    submissions.push({ type: 'submitted', task: client.task })
  }

  const onEnd = ({ task: { requestId, attempt }, numTokens }: Running, reason: EndReason): void => {
    const client = newestAttempt(requestId, attempt)
    if (client === undefined) return
    if (reason === 'cancelled') throw new Error(`${requestId} was cancelled and is still wanted`)
    if (reason === 'evicted') resubmit(requestId, attempt, numTokens)
    else client.outcome = 'done'
  }

  const nodes = Array.from({ length: numNodes }, (_, i) => createFakeNode(`n${i}`, numPages, onEnd))

  return {
    nodes,
    clients,
    submissions,
    /** A client comes with a request. */
    arrive: (nowMs: number): void => {
      const requestId = `r${numRequests++}`
      const adapter = random.chance(0.7) ? (random.pick(adapters) ?? null) : null
      const numTokens = 1 + random.below(60)
      const what = task(requestId, {
        tenant: random.pick(tenants) ?? '',
        adapter,
        numTokens,
        maxNewTokens: 20 + random.below(80),
        arrivalMs: nowMs,
        deadlineMs: 10 ** 9,
      })
      clients.set(requestId, { task: what, outcome: 'open' })
      submissions.push({ type: 'submitted', task: what })
    },
    /** A client goes away. */
    depart: (): void => {
      const client = random.pick([...clients.values()].filter((c) => c.outcome === 'open'))
      if (client === undefined) return
      client.outcome = 'cancelled'
      const { requestId, gatewayId } = client.task
      submissions.push({ type: 'cancelled', requestId, gatewayId })
    },
    /** Commands of the scheduler go where they belong. */
    deliver: (commands: readonly Command[]): void => {
      for (const command of commands) {
        if (command.type === 'interrupt') resubmit(command.requestId, command.attempt)
        if (command.type === 'reject') {
          const client = newestAttempt(command.requestId, command.attempt)
          if (client !== undefined) client.outcome = 'rejected'
        }
        if (command.type === 'assign' || command.type === 'cancel' || command.type === 'evict') {
          nodes.find(({ nodeId }) => nodeId === command.nodeId)?.inbox.push(command)
        }
      }
    },
  }
}
