import { AppError } from '@punica/schema'
import type { Problem, Stop, StreamMessage, StreamReader } from './bus.ts'
import { decode } from './codec.ts'
import { streamOf } from './streams.ts'

type Kept = { subject: string; data: Uint8Array; timeMs: number }
type Stream = { messages: Kept[]; ids: Set<string>; wakes: Set<() => void> }

export type MemoryStreams = {
  store(subject: string, data: Uint8Array, id: string): void
  follow<T>(reader: StreamReader<T>): Stop
  close(): void
}

/** All streams are as old as the process. */
const created = '1970-01-01T00:00:00Z'

/** Streams without a server: they remember everything. */
export const createMemoryStreams = (onProblem: (problem: Problem) => void): MemoryStreams => {
  const streams = new Map<string, Stream>()
  const stops = new Set<Stop>()

  const open = (name: string): Stream => {
    const stream = streams.get(name) ?? { messages: [], ids: new Set(), wakes: new Set() }
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
      stream.messages.push({ subject, data, timeMs: Date.now() })
      for (const wake of stream.wakes) wake()
    },

    follow<T>(reader: StreamReader<T>) {
      const stream = open(reader.stream)
      let isStopped = false
      let isBusy = false
      let isWanted = false

      /** Hands over what there is; returns whether there was anything. */
      const readOn = async (): Promise<boolean> => {
        const from = (await reader.position())?.seq ?? 0
        const messages = stream.messages.slice(from)
        if (isStopped || messages.length === 0) return false
        const values = messages.flatMap(({ subject, data, timeMs }, i): StreamMessage<T>[] => {
          const decoded = decode(reader.schema, data)
          if (decoded.ok) return [{ subject, seq: from + i + 1, timeMs, value: decoded.value }]
          onProblem({ subject, kind: 'invalid', error: decoded.error })
          return []
        })
        await reader.handle(values, { created, seq: from + messages.length })
        return true
      }

      const refused = (error: unknown): boolean => {
        onProblem({ subject: reader.stream, kind: 'handler_failed', error })
        return true
      }

      const drain = async (): Promise<void> => {
        if (isBusy) return
        isBusy = true
        while (isWanted) {
          isWanted = false
          if (await readOn().catch(refused)) isWanted = true
          // What was refused comes again, but not before others had a turn.
          if (isWanted) await new Promise((resolve) => setImmediate(resolve))
        }
        isBusy = false
      }

      const wake = (): void => {
        isWanted = true
        void drain()
      }
      const stop = (): void => {
        isStopped = true
        stream.wakes.delete(wake)
        stops.delete(stop)
      }
      stops.add(stop)
      stream.wakes.add(wake)
      wake()
      return stop
    },

    close() {
      for (const stop of stops) stop()
    },
  }
}
