import type { SchedulerEvent } from '@punica/scheduler'
import type { Task } from '@punica/schema'
import type { Client, End } from './sequence.ts'
import type { Arrival } from './trace.ts'

/** An event before the scheduler's clock is put on it. */
type Bare<E> = E extends unknown ? Omit<E, 'nowMs'> : never
export type Message = Bare<SchedulerEvent>

type Deps = {
  nowMs: () => number
  send: (message: Message) => void
  onDone: (client: Client) => void
  onRefused: (client: Client) => void
}

const hourMs = 3_600_000

/** The gateways: each request belongs to its client until the last token, wherever it moves. */
export const createGateways = (numGateways: number, { nowMs, send, onDone, onRefused }: Deps) => {
  const clients = new Map<string, Client>()
  let numArrived = 0
  let numResubmitted = 0
  let numRefilledTokens = 0

  const toTask = (arrival: Arrival): Task => {
    const index = numArrived++
    return {
      requestId: `r${index}`,
      attempt: 0,
      gatewayId: `g${index % numGateways}`,
      tenant: arrival.tenant,
      adapter: arrival.adapter,
      tokens: tokensOfLength(arrival.numPromptTokens),
      numPromptTokens: arrival.numPromptTokens,
      maxNewTokens: arrival.maxNewTokens,
      stopTokens: [],
      ignoreEos: false,
      sampling: { seed: index },
      arrivalMs: Math.floor(nowMs()),
      deadlineMs: Math.floor(nowMs()) + hourMs,
    }
  }

  const resubmit = (client: Client): void => {
    const { task } = client
    const tokens = tokensOfLength(task.numPromptTokens + client.numReceived)
    client.task = { ...task, attempt: task.attempt + 1, tokens }
    numResubmitted++
    numRefilledTokens += tokens.length
    send({ type: 'submitted', task: client.task })
  }

  /** The client of an attempt, unless the attempt is over. */
  const clientOf = (requestId: string, attempt: number): Client | undefined => {
    const client = clients.get(requestId)
    return client?.task.attempt === attempt ? client : undefined
  }

  return {
    clients: clients as ReadonlyMap<string, Client>,
    get numArrived() {
      return numArrived
    },
    get numResubmitted() {
      return numResubmitted
    },
    /** Tokens that nodes had to compute again after a move. */
    get numRefilledTokens() {
      return numRefilledTokens
    },
    arrive: (arrival: Arrival): void => {
      const task = toTask(arrival)
      clients.set(task.requestId, {
        requestId: task.requestId,
        arrivalMs: nowMs(),
        numOutputTokens: arrival.numOutputTokens,
        task,
        numReceived: 0,
        lastTokenMs: Number.NaN,
      })
      send({ type: 'submitted', task })
    },
    /** A node has ended an attempt. */
    ended: ({ task: { requestId, attempt }, reason }: End): void => {
      const client = clientOf(requestId, attempt)
      if (client === undefined) return
      if (reason === 'evicted') resubmit(client)
      else {
        clients.delete(requestId)
        onDone(client)
      }
    },
    interrupted: (requestId: string, attempt: number): void => {
      const client = clientOf(requestId, attempt)
      if (client !== undefined) resubmit(client)
    },
    rejected: (requestId: string, attempt: number): void => {
      const client = clientOf(requestId, attempt)
      if (client === undefined) return
      clients.delete(requestId)
      onRefused(client)
    },
    reportAll: (): void => {
      for (let i = 0; i < numGateways; i++) {
        send({ type: 'gatewayReported', gatewayId: `g${i}`, leaving: false })
      }
    },
  }
}

const byLength: number[][] = []

/** Nobody reads the ids, and a million prompts of their own would fill the memory. */
export const tokensOfLength = (length: number): number[] => {
  byLength[length] ??= new Array<number>(length).fill(0)
  return byLength[length]
}
