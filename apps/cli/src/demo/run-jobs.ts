import { AppError, toAppError } from '@punica/schema'
import type { DemoAdapter, Job } from './adapters.ts'
import type { Ask } from './answers.ts'
import type { Board, Result } from './board.ts'
import type { View } from './view.ts'

type Deps = {
  askOf(adapter: DemoAdapter): Ask
  board: Board
  view: View
  signal: AbortSignal
  /** Milliseconds since any moment. */
  now(): number
}

/** Jobs of one adapter that run at once. */
export const NUM_AT_ONCE = 6

/**
 * Runs jobs of every adapter at the same time: all of those that are counted, and of the others for
 * as long as that takes. The first failure ends them all.
 */
export const runJobs = async (jobs: readonly Job[], deps: Deps): Promise<Result[]> => {
  const failed = new AbortController()
  const signal = AbortSignal.any([deps.signal, failed.signal])
  const results: Result[] = []
  let numCounted = jobs.filter(isCounted).length
  const work = async (queue: Job[]): Promise<void> => {
    for (let job = queue.shift(); job !== undefined; job = queue.shift()) {
      results.push(await runJob(job, { ...deps, signal }))
      if (isCounted(job)) numCounted--
      else if (numCounted === 0) break
    }
  }
  const queues = deps.board.panes.map((pane) => jobs.filter((job) => job.adapter === pane.adapter))
  // In turns, so that the first batch holds every adapter.
  const turns = Array.from({ length: NUM_AT_ONCE }, () => queues).flat()
  const workers = turns.map((queue) => work(queue))
  try {
    await Promise.all(workers)
    return results
  } catch (err) {
    failed.abort()
    await Promise.allSettled(workers)
    throw err
  }
}

const isCounted = ({ adapter }: Job): boolean => adapter.numRequests !== null

const runJob = async (job: Job, { askOf, board, view, signal, now }: Deps): Promise<Result> => {
  const startMs = now()
  const stream = board.start(job)
  let firstTokenMs: number | null = null
  let maxAdapters = 0
  let numTokens = 0
  const nodeIds: string[] = []
  try {
    for await (const piece of askOf(job.adapter)(job, signal)) {
      if (piece.type === 'end') {
        numTokens = piece.numTokens
        continue
      }
      firstTokenMs ??= now() - startMs
      stream.text += piece.text
      stream.nodeId = piece.nodeId
      stream.numAdapters = piece.numAdapters
      maxAdapters = Math.max(maxAdapters, piece.numAdapters)
      if (nodeIds.at(-1) !== piece.nodeId) nodeIds.push(piece.nodeId)
    }
  } catch (cause) {
    const { name, face } = job.adapter
    const { code } = toAppError(cause)
    const why = cause instanceof Error ? cause.message : String(cause)
    throw new AppError(code, `${name} over ${face}: ${why} (${code})`, { cause })
  }
  board.end(stream)
  const { text } = stream
  const result = { job, text, numTokens, firstTokenMs: firstTokenMs ?? 0, nodeIds, maxAdapters }
  view.ended(result)
  return result
}
