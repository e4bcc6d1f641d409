import type { Command, SchedulerEvent } from '@punica/scheduler'
import type { Decision, Task } from '@punica/schema'
import type { Attributes, Span, Tracing } from '@punica/service'

/** The spans of requests while they are the router's: they wait, and are given a node. */
export type RequestTraces = {
  /** It has arrived; `traceparent` is that of its gateway. */
  submitted(task: Task, traceparent: string | undefined): void
  /** What the scheduler made of an event. */
  observe(event: SchedulerEvent, commands: readonly Command[]): void
  /** It is given to a node; the span ends with the node's answer. */
  placed(task: Task, nodeId: string): Span
}

/** A queue is bounded, so this is only met if ends went unnoticed: the oldest are given up. */
const maxTraced = 100_000

type Traced = {
  parent: string | undefined
  attributes: Attributes
  /** null: a node has been asked to take it. */
  queue: Span | null
}

export const createRequestTraces = (tracing: Tracing): RequestTraces => {
  /** By request, until a node has it or nobody wants it. */
  const traced = new Map<string, Traced>()
  /** Why the newest decisions gave each its node. */
  const reasons = new Map<string, string>()

  const forget = (requestId: string, error?: string): void => {
    traced.get(requestId)?.queue?.end(error)
    traced.delete(requestId)
  }

  const queueAgain = (requestId: string): void => {
    const found = traced.get(requestId)
    if (found === undefined) return
    found.queue ??= tracing.start('queue', found)
  }

  const observeDecision = ({ kind, requestId, reason }: Decision): void => {
    if (requestId === undefined) return
    if (kind === 'place' || kind === 'move') reasons.set(requestId, reason)
    else if (kind === 'cancel') forget(requestId, 'cancelled')
  }

  return {
    submitted: (task, parent) => {
      const { requestId, attempt, tenant } = task
      const attributes = {
        'punica.request_id': requestId,
        'punica.attempt': attempt,
        'punica.tenant': tenant,
      }
      const queue = tracing.start('queue', { parent, attributes })
      if (queue.traceparent === undefined) return
      forget(requestId)
      traced.set(requestId, { parent, attributes, queue })
      const [oldest] = traced.size > maxTraced ? traced.keys() : []
      if (oldest !== undefined) forget(oldest, 'lost from sight')
    },

    observe: (event, commands) => {
      if (traced.size === 0) return
      reasons.clear()
      if (event.type === 'assignRefused') queueAgain(event.requestId)
      else if (event.type === 'assignAccepted') forget(event.requestId)
      else if (event.type === 'cancelled') forget(event.requestId, 'cancelled')
      for (const command of commands) {
        if (command.type === 'reject') forget(command.requestId, command.error.code)
        else if (command.type === 'interrupt') forget(command.requestId, command.cause)
        else if (command.type === 'decide') observeDecision(command.decision)
      }
    },

    placed: ({ requestId, tokens }, nodeId) => {
      const found = traced.get(requestId)
      found?.queue?.end()
      if (found !== undefined) found.queue = null
      const reason = reasons.get(requestId)
      return tracing.start('place', {
        parent: found?.parent,
        attributes: {
          ...found?.attributes,
          'punica.node': nodeId,
          'punica.tokens': tokens.length,
          ...(reason === undefined ? {} : { 'punica.reason': reason }),
        },
      })
    },
  }
}
