import { AppError, type Channel } from '@punica/schema'
import type { Problem, Stop } from './bus.ts'
import { decode } from './codec.ts'
import { streamOf } from './streams.ts'

type Stream = {
  messages: { subject: string; data: Uint8Array }[]
  ids: Set<string>
  /** Of each durable: how many messages it has acknowledged, and how to wake it. */
  consumers: Map<string, Consumer>
}
type Consumer = { position: number; wake: () => void }

export type MemoryStreams = {
  store(subject: string, data: Uint8Array, id: string): void
  consume<T>(
    options: { stream: string; durable: string; schema: Channel<T>['schema'] },
    handler: (message: T) => Promise<void>,
  ): Stop
  close(): void
}

/** Streams without a server: they remember everything and deliver again what was not acknowledged. */
export const createMemoryStreams = (onProblem: (problem: Problem) => void): MemoryStreams => {
  const streams = new Map<string, Stream>()
  const stops = new Set<Stop>()

  const open = (name: string): Stream => {
    const stream = streams.get(name) ?? { messages: [], ids: new Set(), consumers: new Map() }
    streams.set(name, stream)
    return stream
  }

  return {
    store(subject, data, id) {
      const definition = streamOf(subject)
      if (definition === null) throw new AppError('unavailable', `No stream keeps ${subject}`)
      const stream = open(definition.name)
      if (stream.ids.has(id)) return
      stream.ids.add(id)
      stream.messages.push({ subject, data })
      for (const { wake } of stream.consumers.values()) wake()
    },

    consume({ stream: name, durable, schema }, handler) {
      const stream = open(name)
      const consumer = stream.consumers.get(durable) ?? { position: 0, wake: () => {} }
      stream.consumers.set(durable, consumer)
      let stopped = false
      let busy = false

      const drain = async (): Promise<void> => {
        if (busy) return
        busy = true
        for (;;) {
          const message = stream.messages[consumer.position]
          if (stopped || message === undefined) break
          if (await handle(message)) consumer.position++
          // A refused message comes again, but not before others had a turn.
          await new Promise((resolve) => setImmediate(resolve))
        }
        busy = false
      }

      const handle = async (message: { subject: string; data: Uint8Array }): Promise<boolean> => {
        const { subject } = message
        const decoded = decode(schema, message.data)
        if (!decoded.ok) {
          onProblem({ subject, kind: 'invalid', error: decoded.error })
          return true
        }
        try {
          await handler(decoded.value)
          return true
        } catch (error) {
          onProblem({ subject, kind: 'handler_failed', error })
          return false
        }
      }

      consumer.wake = () => void drain()
      consumer.wake()
      const stop = (): void => {
        stopped = true
      }
      stops.add(stop)
      return stop
    },

    close() {
      for (const stop of stops) stop()
    },
  }
}
