import { type Channel, limits } from '@punica/schema'
import type { Delivery, Problem, PublishOptions, Stop, SubscribeOptions } from './bus.ts'
import { decode, tooLarge } from './codec.ts'
import { matches } from './subjects.ts'

type Subscriber = {
  pattern: string
  queue: string | undefined
  deliver(data: Uint8Array, delivery: Delivery): void
  noResponders(): void
}

export type MemoryServer = {
  /** Returns whether anybody listens. */
  send(subject: string, data: Uint8Array, options?: PublishOptions): boolean
  listen<T>(
    pattern: string,
    schema: Channel<T>['schema'],
    options: SubscribeOptions,
    handler: (message: T, delivery: Delivery) => void | Promise<void>,
  ): Stop
  clear(): void
}

/**
 * Subjects and subscribers without a network. Deliveries come later, never inside the call that
 * caused them, as they would over a socket.
 */
export const createMemoryServer = (onProblem: (problem: Problem) => void): MemoryServer => {
  const subscribers = new Set<Subscriber>()
  const turns = new Map<string, number>()

  return {
    send(subject, data, { replyTo = '', traceparent } = {}) {
      const receivers = pick(find(subject))
      for (const receiver of receivers) {
        queueMicrotask(() => {
          if (subscribers.has(receiver)) receiver.deliver(data, { subject, replyTo, traceparent })
        })
      }
      if (receivers.length === 0 && replyTo !== '') {
        for (const asker of find(replyTo)) queueMicrotask(asker.noResponders)
      }
      return receivers.length > 0
    },

    listen(pattern, schema, options, handler) {
      const { queue, onNoResponders = () => {}, maxBytes = limits.messageBytes } = options
      const deliver = (data: Uint8Array, delivery: Delivery): void => {
        const { subject } = delivery
        if (data.length > maxBytes) {
          const error = tooLarge(data.length, maxBytes)
          onProblem({ subject, kind: 'oversized', error })
          options.onOversized?.(delivery)
          return
        }
        const decoded = decode(schema, data)
        if (!decoded.ok) {
          onProblem({ subject, kind: 'invalid', error: decoded.error })
          return
        }
        const failed = (error: unknown): void =>
          onProblem({ subject, kind: 'handler_failed', error })
        try {
          handler(decoded.value, delivery)?.catch(failed)
        } catch (error) {
          failed(error)
        }
      }
      const subscriber = { pattern, queue, deliver, noResponders: onNoResponders }
      subscribers.add(subscriber)
      return () => void subscribers.delete(subscriber)
    },

    clear: () => subscribers.clear(),
  }

  function find(subject: string): Subscriber[] {
    return [...subscribers].filter(({ pattern }) => matches(pattern, subject))
  }

  /** Every plain subscriber, and the next member of each queue. */
  function pick(matching: readonly Subscriber[]): Subscriber[] {
    const plain = matching.filter(({ queue }) => queue === undefined)
    const queues = new Set(matching.flatMap(({ queue }) => (queue === undefined ? [] : [queue])))
    for (const queue of queues) {
      const members = matching.filter((subscriber) => subscriber.queue === queue)
      const turn = turns.get(queue) ?? 0
      turns.set(queue, turn + 1)
      const member = members[turn % members.length]
      if (member !== undefined) plain.push(member)
    }
    return plain
  }
}
