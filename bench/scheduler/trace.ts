import type { AdapterRef } from '@punica/schema'

/** A request as it reaches a gateway. */
export type Arrival = {
  readonly timeMs: number
  readonly tenant: string
  readonly adapter: AdapterRef | null
  readonly numPromptTokens: number
  /** How long the answer will be: nobody but the simulation knows. */
  readonly numOutputTokens: number
  /** The bound that the client set, which the scheduler does know. */
  readonly maxNewTokens: number
}

export type Trace = {
  readonly name: string
  /** What it is, in a sentence for the report. */
  readonly description: string
  readonly durationMs: number
  /** In order of time; the same ones at each call. */
  arrivals(): Iterable<Arrival>
}
