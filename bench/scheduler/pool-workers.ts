import { fork } from 'node:child_process'
import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import type { Outcome } from './cluster.ts'
import type { PoolJob } from './pool-worker.ts'
import { addOutcomes } from './pools.ts'

/**
 * Simulates the pools of a cluster on all cores: they share nothing, so each process has some of
 * them, and the outcome is the same however many processes there are.
 */
export const runPools = async (job: Omit<PoolJob, 'pools'>, numPools: number): Promise<Outcome> => {
  const numWorkers = Math.min(numPools, availableParallelism())
  const shares = Array.from({ length: numWorkers }, (_, worker) =>
    Array.from({ length: numPools }, (__, pool) => pool).filter(
      (pool) => pool % numWorkers === worker,
    ),
  )
  return addOutcomes(await Promise.all(shares.map((pools) => runWorker({ ...job, pools }))))
}

const runWorker = (job: PoolJob): Promise<Outcome> =>
  new Promise((resolve, reject) => {
    const worker = fork(fileURLToPath(new URL('./pool-worker.ts', import.meta.url)))
    worker.once('message', (outcome: Outcome) => resolve(outcome))
    worker.once('error', reject)
    worker.once('exit', (code) => reject(new Error(`a worker ended early, with code ${code}`)))
    worker.send(job)
  })
