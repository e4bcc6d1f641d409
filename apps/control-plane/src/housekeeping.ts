import type { ObjectStore } from '@punica/object-store'
import type { Logger } from '@punica/service'
import { sweepObjects } from './adapters/sweep-objects.ts'
import { sweepUploads } from './adapters/sweep-uploads.ts'
import type { Database } from './db/database.ts'
import type { Inventory } from './nodes/inventory.ts'
import { forgetCounted } from './usage/count-usage.ts'
import { sumTraffic } from './usage/traffic.ts'

type Deps = {
  db: Database
  store: Pick<ObjectStore, 'delete' | 'head' | 'list' | 'sweep'>
  inventory: Pick<Inventory, 'list'>
  log: Logger
}

const tidyIntervalMs = 10 * 60_000
const trafficIntervalMs = 60_000

/** Does now and then what keeps tables and the object store from growing for ever, and sums up to date. */
export const keepHouse = ({ db, store, inventory, log }: Deps): { stop(): Promise<void> } => {
  let current = Promise.resolve()
  const repeat = (job: () => Promise<void>, intervalMs: number): NodeJS.Timeout =>
    setInterval(() => {
      current = current
        .then(job)
        .catch((err: unknown) => log.warn({ err }, 'housekeeping broken off'))
    }, intervalMs)
  const timers = [
    repeat(async () => {
      await sweepUploads({ db, store })
      await sweepObjects({ db, store, inventory, log })
      await forgetCounted(db)
    }, tidyIntervalMs),
    repeat(() => sumTraffic(db), trafficIntervalMs),
  ]
  return {
    stop: () => {
      for (const timer of timers) clearInterval(timer)
      return current
    },
  }
}
