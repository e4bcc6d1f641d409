import type { EndReason } from '@punica/schema'
import type { EventQueue } from './event-queue.ts'
import { type Chunk, isDecoding, planStep } from './plan-step.ts'
import { createPool } from './pool.ts'
import { createPrefillBudget } from './prefill-budget.ts'
import { type End, endReason, type Sequence, tokensLeft } from './sequence.ts'
import { createSpan } from './span.ts'
import type { StepTime } from './step-time.ts'

export type EngineOptions = {
  readonly stepTime: StepTime
  readonly maxBatchSize: number
  /** Rows of one step: decode rows first, then prefill chunks. */
  readonly maxStepTokens: number
  /** Step time that prefill chunks may not exceed while others decode; null: any. */
  readonly targetStepMs: number | null
  readonly pageSize: number
}

/** What an engine tells of; each call is about one moment of simulated time. */
export type EngineListener = {
  onFirstToken(sequence: Sequence): void
  /** Times between two tokens of one stream: so many of this length. */
  onTokenGaps(gapMs: number, times: number): void
  onEnd(end: End): void
}

type Deps = { queue: EventQueue; options: EngineOptions; listener: EngineListener }

export type Engine = ReturnType<typeof createEngine>

/**
 * The step loop of packages/native-sgmv in simulated time: what is new is taken in between two
 * steps, first come first served; a request joins when there are pages for all its tokens and one
 * for each that runs; decode rows go before prefill chunks; out of pages, the newest is evicted.
 *
 * A run of steps in which nothing but the contexts changes is one event (span.ts).
 */
export const createEngine = ({ queue, options, listener }: Deps) => {
  const { stepTime, maxBatchSize, maxStepTokens, targetStepMs, pageSize } = options
  const budget = createPrefillBudget(targetStepMs, maxStepTokens)
  const pageBytes = pageSize * stepTime.kvBytesPerToken
  const pool = createPool({ numPages: Math.floor(stepTime.poolBytes / pageBytes), pageBytes })
  const span = createSpan(stepTime.msPerKvToken, listener.onTokenGaps)
  const inbox: Sequence[] = []
  const stops: { sequence: Sequence; reason: EndReason }[] = []
  const waiting: Sequence[] = []
  const batch: Sequence[] = []
  /** Of the step under way, where it is not a span. */
  let chunks: Chunk[] = []
  let isStepping = false
  let nextBoundary = 0
  let copyFreeMs = 0
  let numMarks = 0
  const counters = {
    steps: 0,
    promptTokens: 0,
    generatedTokens: 0,
    maxAdaptersInBatch: 0,
    adaptersInBatch: 0,
    batchSize: 0,
    stepMs: 0,
  }

  const pagesFor = (numTokens: number): number => Math.ceil(numTokens / pageSize)

  const boundaryAt = (timeMs: number): void => {
    const boundary = ++nextBoundary
    queue.at(timeMs, () => {
      if (boundary === nextBoundary) iterate()
    })
  }

  /** Something is to be taken in: at once, or when the step under way is over. */
  const wake = (): void => {
    if (!isStepping) {
      isStepping = true
      boundaryAt(queue.nowMs)
    } else if (span.isOpen) {
      settleSpan()
      if (span.cut()) boundaryAt(span.nextEndMs)
    }
  }

  const iterate = (): void => {
    settleSpan()
    settleChunks()
    for (const sequence of inbox.splice(0)) waiting.push(sequence)
    for (const { sequence, reason } of stops.splice(0)) stop(sequence, reason)
    admit()
    step()
  }

  const stop = (sequence: Sequence, reason: EndReason): void => {
    for (const list of [batch, waiting]) {
      const index = list.indexOf(sequence)
      if (index < 0) continue
      list.splice(index, 1)
      end(sequence, reason, false)
    }
  }

  const end = (sequence: Sequence, reason: EndReason, byPressure: boolean): void => {
    pool.freeKvPages(sequence.numPages)
    sequence.numPages = 0
    if (sequence.adapter !== null) pool.release(sequence.adapter)
    sequence.adapter = null
    listener.onEnd({ task: sequence.task, reason, byPressure })
  }

  // ---- joining the batch ----

  const admit = (): void => {
    while (batch.length < maxBatchSize) {
      const sequence = waiting[0]
      if (sequence === undefined || !join(sequence)) return
      waiting.shift()
      batch.push(sequence)
    }
  }

  const join = (sequence: Sequence): boolean => {
    const { adapter } = sequence.task
    const present = adapter === null ? null : (pool.resident.get(adapter.digest) ?? null)
    if (present !== null) pool.hold(present)
    const numPages = pagesFor(sequence.numTokens)
    const toCopy = adapter !== null && present === null ? adapter : null
    const adapterPages = toCopy === null ? 0 : pool.adapterPages(toCopy.sizeBytes)
    if (pool.available() < numPages + adapterPages + batch.length) {
      if (present !== null) pool.release(present)
      return false
    }
    sequence.adapter = present
    if (toCopy !== null) {
      copyFreeMs = Math.max(copyFreeMs, queue.nowMs) + copyMs(toCopy.sizeBytes)
      sequence.adapter = pool.place(toCopy, copyFreeMs)
      queue.at(copyFreeMs, wake)
    }
    pool.takeKvPages(numPages)
    sequence.numPages = numPages
    sequence.numComputed = 0
    return true
  }

  const copyMs = (sizeBytes: number): number =>
    (1e3 * sizeBytes) / stepTime.hostToDeviceBytesPerSecond

  // ---- one step, or a span of them ----

  const step = (): void => {
    const runnable = collectRunnable()
    isStepping = runnable.length > 0
    if (!isStepping) return
    const adapterBytes = countAdapters(runnable)
    const numSteps = spanLength(runnable)
    if (numSteps > 1) {
      const numKvTokens = runnable.reduce((sum, { numTokens }) => sum + numTokens, 0)
      const numRows = runnable.length
      const fixedMs = stepTime.fixedMs(numRows, adapterBytes)
      boundaryAt(span.open({ startMs: queue.nowMs, fixedMs, numRows, numKvTokens, numSteps }))
      counters.batchSize = numRows
      return
    }
    chunks = planStep(runnable, maxStepTokens, budget.rows)
    let numRows = 0
    let numKvTokens = 0
    let numDecodeRows = 0
    for (const chunk of chunks) {
      numRows += chunk.numRows
      if (isDecoding(chunk.sequence)) numDecodeRows++
      numKvTokens += chunk.sequence.numComputed + chunk.numRows
    }
    const durationMs = stepTime.fixedMs(numRows, adapterBytes) + numKvTokens * stepTime.msPerKvToken
    budget.observe({ numDecodeRows, numPrefillRows: numRows - numDecodeRows, ms: durationMs })
    counters.steps++
    counters.batchSize = chunks.length
    counters.stepMs = durationMs
    boundaryAt(queue.nowMs + durationMs)
  }

  const collectRunnable = (): Sequence[] => {
    const runnable: Sequence[] = []
    // Making room may shorten the batch from its end.
    for (let i = 0; i < batch.length; i++) {
      const sequence = batch[i]
      if (sequence === undefined || (sequence.adapter?.readyMs ?? 0) > queue.nowMs) continue
      if (makeRoomToGrow(sequence)) runnable.push(sequence)
    }
    return runnable
  }

  const makeRoomToGrow = (sequence: Sequence): boolean => {
    const missing = pagesFor(sequence.numTokens) - sequence.numPages
    while (missing > 0 && !pool.takeKvPages(missing)) {
      const newest = batch.length > 1 ? batch.pop() : undefined
      if (newest === undefined) return false
      end(newest, 'evicted', true)
      if (newest === sequence) return false
    }
    sequence.numPages += missing
    return true
  }

  /** Returns the bytes of the distinct adapters. */
  const countAdapters = (sequences: readonly Sequence[]): number => {
    const mark = numMarks++
    let numAdapters = 0
    let sizeBytes = 0
    for (const { adapter } of sequences) {
      if (adapter === null || adapter.countedIn === mark) continue
      adapter.countedIn = mark
      numAdapters++
      sizeBytes += adapter.sizeBytes
    }
    counters.adaptersInBatch = numAdapters
    counters.maxAdaptersInBatch = Math.max(counters.maxAdaptersInBatch, numAdapters)
    return sizeBytes
  }

  /** Steps until one ends or pages could run short; 1 unless all had a token in the last step. */
  const spanLength = (runnable: readonly Sequence[]): number => {
    if (runnable.length < batch.length) return 1
    let numSteps = Number.POSITIVE_INFINITY
    for (const sequence of runnable) {
      if (!isDecoding(sequence) || sequence.client.lastTokenMs !== queue.nowMs) return 1
      numSteps = Math.min(numSteps, tokensLeft(sequence))
    }
    const pagesEach = Math.floor(pool.freePages / runnable.length)
    return Math.min(numSteps, pageSize * (pagesEach - 1))
  }

  // ---- what came of it ----

  /** Counts the steps of the span that are over by now. */
  const settleSpan = (): void => {
    const numSteps = span.advance(queue.nowMs)
    if (numSteps === 0) return
    counters.steps += numSteps
    counters.generatedTokens += numSteps * batch.length
    counters.stepMs = span.stepMs
    budget.observe({ numDecodeRows: batch.length, numPrefillRows: 0, ms: span.stepMs }, numSteps)
    for (const sequence of batch) {
      sequence.numTokens += numSteps
      sequence.numComputed += numSteps
      const missing = pagesFor(sequence.numComputed) - sequence.numPages
      if (missing > 0 && pool.takeKvPages(missing)) sequence.numPages += missing
      sequence.client.numReceived += numSteps
      sequence.client.lastTokenMs = span.lastEndMs
    }
    endFinished()
  }

  const settleChunks = (): void => {
    if (chunks.length === 0) return
    for (const { sequence, numRows } of chunks) {
      if (!isDecoding(sequence)) counters.promptTokens += numRows
      sequence.numComputed += numRows
      if (sequence.numComputed === sequence.numTokens) accept(sequence)
    }
    chunks = []
    endFinished()
  }

  const accept = (sequence: Sequence): void => {
    const { client } = sequence
    sequence.numTokens++
    counters.generatedTokens++
    if (client.numReceived++ === 0) listener.onFirstToken(sequence)
    else listener.onTokenGaps(queue.nowMs - client.lastTokenMs, 1)
    client.lastTokenMs = queue.nowMs
  }

  const endFinished = (): void => {
    let numKept = 0
    for (const sequence of batch) {
      if (tokensLeft(sequence) > 0) batch[numKept++] = sequence
      else end(sequence, endReason(sequence), false)
    }
    batch.length = numKept
  }

  return {
    pool,
    /** In the order of joining. */
    batch: batch as readonly Sequence[],
    pagesFor,
    counters: () => ({ ...counters }),
    submit: (sequence: Sequence): void => {
      inbox.push(sequence)
      wake()
    },
    /** Cancels or evicts after the step under way. */
    stop: (sequence: Sequence, reason: EndReason): void => {
      stops.push({ sequence, reason })
      wake()
    },
    /** Brings what can be seen from outside up to the last step that is over. */
    settle: settleSpan,
  }
}
