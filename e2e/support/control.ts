import { expect } from 'vitest'
import { answerOf, readStream, type Seen, type StreamSpec } from './streams.ts'
import type { System } from './system.ts'

const spec: StreamSpec = {
  adapter: 'french',
  prompt: 'The cat is in the garden.',
  maxTokens: 300,
  temperature: 1,
  seed: 7,
}

/** A stream that runs again and again beside other work, to show that the work does not touch it. */
export type Control = {
  /** For the cluster: hears of every service that ended. */
  onProgress(text: string): void
  /** Reads the stream once undisturbed, then on and on. */
  start(system: System): Promise<void>
  /** Stops. Every run was as the undisturbed one, and no service has ended. */
  expectUntouched(): Promise<void>
}

export const createControl = (): Control => {
  let happened: string[] = []
  let isWanted = true
  let running: Promise<Seen[]> | undefined
  let undisturbed: Seen | undefined

  const run = async (system: System): Promise<Seen[]> => {
    const all: Seen[] = []
    while (isWanted) all.push(await readStream(system, spec))
    return all
  }
  return {
    onProgress: (text) => void happened.push(text),
    start: async (system) => {
      undisturbed = await readStream(system, spec)
      happened = []
      running = run(system)
      // Told by expectUntouched; before that a failure must not end the tests.
      running.catch(() => {})
    },
    expectUntouched: async () => {
      isWanted = false
      const seen = (await running) ?? []
      expect(seen.length).toBeGreaterThan(1)
      expect(undisturbed?.completionTokens).toBe(spec.maxTokens)
      for (const one of seen) {
        expect(answerOf(one)).toEqual(undisturbed === undefined ? null : answerOf(undisturbed))
      }
      expect(happened).toEqual([])
    },
  }
}
