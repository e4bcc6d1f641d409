import { readStream, type Seen, type StreamSpec } from './streams.ts'
import { adapterNames, type System } from './system.ts'

/** Streams that run side by side, again and again, so that there is always work to look at. */
export type Busy = {
  /** Ends them; resolves with everything that was read. Rejects if a stream did. */
  stop(): Promise<Seen[]>
}

export const keepBusy = (system: Pick<System, 'openai' | 'keys'>, numStreams: number): Busy => {
  const specs = Array.from({ length: numStreams }, (_, i): StreamSpec => {
    const adapter = adapterNames[i % adapterNames.length] ?? 'french'
    return { adapter, prompt: 'The cat is in the garden.', maxTokens: 600, temperature: 1, seed: i }
  })
  let isWanted = true
  const run = async (spec: StreamSpec): Promise<Seen[]> => {
    const all: Seen[] = []
    while (isWanted) all.push(await readStream(system, spec))
    return all
  }
  const running = Promise.all(specs.map(run))
  // Told by stop; before that a failure must not end the tests.
  running.catch(() => {})
  return {
    stop: async () => {
      isWanted = false
      return (await running).flat()
    },
  }
}
