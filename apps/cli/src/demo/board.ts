import type { DemoAdapter, Job } from './adapters.ts'

/** One answer while it comes. */
export type Stream = {
  job: Job
  text: string
  nodeId: string
  /** Distinct adapters in the batch that made the newest piece. */
  numAdapters: number
}

/** How one job went. */
export type Result = {
  job: Job
  text: string
  numTokens: number
  firstTokenMs: number
  /** Nodes that made a part of it, in order. */
  nodeIds: string[]
  /** Most distinct adapters in a batch that made a part of it. */
  maxAdapters: number
}

/** What is to be seen of one adapter. */
export type Pane = {
  adapter: DemoAdapter
  numDone: number
  running: Stream[]
  /** The running stream that is watched; it stays until it ends. */
  front: Stream | null
  /** The newest that have ended, the oldest first. */
  ended: Stream[]
}

export type Board = {
  panes: readonly Pane[]
  start(job: Job): Stream
  end(stream: Stream): void
}

/** More would not fit into a pane. */
const MAX_ENDED = 8

/** Keeps the picture of what runs. */
export const createBoard = (adapters: readonly DemoAdapter[]): Board => {
  const panes = adapters.map(
    (adapter): Pane => ({ adapter, numDone: 0, running: [], front: null, ended: [] }),
  )
  const paneOf = ({ adapter }: Job): Pane => {
    const pane = panes.find((candidate) => candidate.adapter === adapter)
    if (pane === undefined) throw new Error(`no pane for ${adapter.name}`)
    return pane
  }
  return {
    panes,
    start(job) {
      const pane = paneOf(job)
      const stream: Stream = { job, text: '', nodeId: '', numAdapters: 0 }
      pane.running.push(stream)
      pane.front ??= stream
      return stream
    },
    end(stream) {
      const pane = paneOf(stream.job)
      pane.numDone++
      pane.running = pane.running.filter((other) => other !== stream)
      pane.ended = [...pane.ended, stream].slice(-MAX_ENDED)
      if (pane.front === stream) pane.front = pane.running[0] ?? null
    },
  }
}
