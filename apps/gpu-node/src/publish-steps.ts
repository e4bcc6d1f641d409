import type { StepReport, TokenLogprobs } from '@punica/native-sgmv'
import { AppError, type EndReason, type TokenBatch, toWireError } from '@punica/schema'
import type { Entry, Table } from './requests/table.ts'
import { toBatchSize } from './status.ts'
import type { TokenOutbox } from './token-outbox.ts'

/** The end of a request on this node. */
export type End = { entry: Entry; reason: EndReason; byPressure: boolean; error?: AppError }

type Token = TokenBatch['tokens'][number]
type Part = { tokens: Token[]; ends: TokenBatch['ends'] }

type Deps = {
  table: Pick<Table, 'byEngineId'>
  outbox: Pick<TokenOutbox, 'send'>
  now: () => number
}

/**
 * Turns each step of the engine into one message per gateway. The engine runs its own loop and
 * never waits for this: a slow bus delays delivery, not the device.
 */
export const createStepPublisher = ({ table, outbox, now }: Deps) => {
  const send = (parts: Map<string, Part>, batchSize: number, numAdapters: number): void => {
    for (const [gatewayId, { tokens, ends }] of parts) {
      outbox.send(gatewayId, { batchSize, numAdapters, tokens, ends }, now())
    }
  }

  return {
    /** Publishes what the step did; returns the requests that ended in it, or were ended by `error`. */
    publishStep: (report: StepReport, error?: AppError): End[] => {
      const parts = new Map<string, Part>()
      report.tokenRequests.forEach((engineId, i) => {
        // What comes after a request was given up here, its gateway no longer waits for.
        const entry = table.byEngineId(engineId)
        if (entry === undefined) return
        const index = report.tokenIndices[i] ?? 0
        if (entry.numGenerated === entry.numGeneratedBefore) entry.trace.firstToken()
        entry.numGenerated = index + 1
        const token = toToken(entry, index, report.tokens[i] ?? 0, report.logprobs?.[i])
        partOf(parts, entry).tokens.push(token)
      })
      const ends = report.ends.flatMap(({ request, reason, byPressure }): End[] => {
        const entry = table.byEngineId(request)
        if (entry === undefined) return []
        const failure = reason === 'error' ? { error: error ?? notFinite(entry) } : {}
        return [{ entry, reason, byPressure, ...failure }]
      })
      addEnds(parts, ends)
      send(parts, toBatchSize(report), report.numAdapters)
      return ends
    },
    /** Publishes ends that the engine knows nothing of. */
    publishEnds: (ends: readonly End[]): void => {
      const parts = new Map<string, Part>()
      addEnds(parts, ends)
      send(parts, 0, 0)
    },
  }
}

/** The engine ends one request of a step that went well only where its logits are not finite. */
const notFinite = ({ task: { adapter } }: Entry): AppError =>
  adapter === null
    ? new AppError('internal', "The base model's output for this request is not finite")
    : new AppError(
        'adapter_invalid',
        "The model's output for this request is not finite: weights of its adapter are too large",
      )

const partOf = (parts: Map<string, Part>, { task: { gatewayId } }: Entry): Part => {
  const part = parts.get(gatewayId) ?? { tokens: [], ends: [] }
  parts.set(gatewayId, part)
  return part
}

const addEnds = (parts: Map<string, Part>, ends: readonly End[]): void => {
  for (const { entry, reason, error } of ends) {
    const { requestId, attempt } = entry.task
    const numTokens = entry.numGenerated
    const failure = error === undefined ? {} : { error: toWireError(error) }
    partOf(parts, entry).ends.push({ requestId, attempt, reason, numTokens, ...failure })
  }
}

const toToken = (
  { task: { requestId, attempt } }: Entry,
  index: number,
  token: number,
  logprobs: TokenLogprobs | null | undefined,
): Token => ({
  requestId,
  attempt,
  index,
  token,
  ...(logprobs === null || logprobs === undefined
    ? {}
    : { logprobs: { logprob: logprobs.logprob, top: [...logprobs.top] } }),
})
