import type { EndReason, Task } from '@punica/schema'
import type { DeviceAdapter } from './pool.ts'

/** What a client knows of its request; only the simulation knows how long its answer will be. */
export type Client = {
  readonly requestId: string
  readonly arrivalMs: number
  readonly numOutputTokens: number
  task: Task
  numReceived: number
  /** When the newest token was made; NaN before the first. */
  lastTokenMs: number
}

/** An attempt of a request in the engine of a simulated GPU. */
export type Sequence = {
  readonly task: Task
  readonly client: Client
  numTokens: number
  /** Tokens whose K and V are in the pages. */
  numComputed: number
  numPages: number
  /** Its adapter's copy while it is in the batch. */
  adapter: DeviceAdapter | null
}

export const createSequence = (task: Task, client: Client): Sequence => ({
  task,
  client,
  numTokens: task.tokens.length,
  numComputed: 0,
  numPages: 0,
  adapter: null,
})

/** How many more tokens it makes, should it stay. */
export const tokensLeft = ({ client }: Sequence): number =>
  client.numOutputTokens - client.numReceived

export type End = { task: Task; reason: EndReason; byPressure: boolean }

/** Of one that has all its tokens. */
export const endReason = ({ task, client }: Sequence): EndReason =>
  client.numReceived < task.maxNewTokens ? 'stop' : 'length'
