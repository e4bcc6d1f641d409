import { usageStream } from '@punica/schema'
import { matches } from './subjects.ts'

/** A JetStream stream: which subjects it keeps, for how long, and up to how many bytes. */
export type StreamDefinition = {
  readonly name: string
  readonly subjects: readonly string[]
  readonly maxAgeMs: number
  readonly maxBytes: number
  /** How long the id of a message is remembered, so that a repeated publication is dropped. */
  readonly dedupWindowMs: number
}

const DAY_MS = 24 * 60 * 60 * 1000

/** The streams of the system. */
export const streams: readonly StreamDefinition[] = [
  {
    name: usageStream,
    subjects: ['punica.usage.>'],
    maxAgeMs: 30 * DAY_MS,
    maxBytes: 4 * 1024 ** 3,
    dedupWindowMs: 10 * 60 * 1000,
  },
]

/** The stream that keeps a subject, or null. */
export const streamOf = (subject: string): StreamDefinition | null =>
  streams.find(({ subjects }) => subjects.some((pattern) => matches(pattern, subject))) ?? null
