import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { environment } from '../environment.ts'
import { type Cluster, startCluster } from '../launch/cluster.ts'
import { untilInterrupted } from '../until-interrupted.ts'
import { adapters, readJobs } from './adapters.ts'
import { createBoard, type Result } from './board.ts'
import { prepare } from './prepare.ts'
import { NUM_AT_ONCE, runJobs } from './run-jobs.ts'
import { summarise } from './summary.ts'
import { openView } from './view.ts'

export type DemoOptions = { nodes: number }

/** Small enough that the requests fill one node and go on to the next, as the policy has it. */
const MAX_BATCH_SIZE = '24'

/**
 * `punica demo`: six adapters of two tenants on one base model, called at the same time over both
 * faces of the API. Everything runs in a temporary folder that is removed afterwards; when
 * something fails it stays, for its logs.
 */
export const demo = async ({ nodes }: DemoOptions): Promise<void> => {
  const interrupted = new AbortController()
  untilInterrupted().then(() => interrupted.abort(new Error('interrupted')))
  const dataFolder = await mkdtemp(path.join(tmpdir(), 'punica-demo-'))
  try {
    await runDemo({ dataFolder, nodes, signal: interrupted.signal })
    await rm(dataFolder, { recursive: true, force: true })
  } catch (err) {
    if (interrupted.signal.aborted) {
      await rm(dataFolder, { recursive: true, force: true })
      process.exitCode = 130
      return
    }
    throw new Error(`The demo failed: ${toMessage(err)}\nLogs: ${path.join(dataFolder, 'logs')}`, {
      cause: err,
    })
  }
}

const say = (text: string): void => console.log(text)

const runDemo = async ({
  dataFolder,
  nodes,
  signal,
}: {
  dataFolder: string
  nodes: number
  signal: AbortSignal
}): Promise<void> => {
  const startedMs = performance.now()
  say(`starting the whole system with ${nodes} CPU nodes`)
  const cluster = await startCluster({
    dataFolder,
    numNodes: nodes,
    durable: false,
    settings: { 'gpu-node': { MAX_BATCH_SIZE } },
    natsServerBinary: environment.NATS_SERVER_BIN,
    onProgress: say,
  })
  try {
    say(`everything is up after ${((performance.now() - startedMs) / 1000).toFixed(1)} s`)
    await drive(cluster, signal)
  } finally {
    await cluster.stop()
  }
}

const drive = async (cluster: Cluster, signal: AbortSignal): Promise<void> => {
  signal.throwIfAborted()
  const access = await prepare(cluster, say)
  signal.throwIfAborted()
  try {
    const jobs = await readJobs()
    const numAtOnce = NUM_AT_ONCE * adapters.length
    say(`\n${adapters.length} adapters, ${numAtOnce} requests at a time:\n`)
    const board = createBoard(adapters)
    const view = openView(board, process.stdout)
    const startMs = performance.now()
    let results: Result[]
    try {
      const { askOf } = access
      results = await runJobs(jobs, { askOf, board, view, signal, now: () => performance.now() })
    } finally {
      view.close()
    }
    const durationMs = performance.now() - startMs
    say(`\n${summarise({ results, durationMs, baseModel: cluster.baseModel })}\n`)
  } finally {
    await access.close()
  }
}

const toMessage = (err: unknown): string => (err instanceof Error ? err.message : String(err))
