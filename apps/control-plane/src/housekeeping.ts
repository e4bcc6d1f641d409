import type { ObjectStore } from '@punica/object-store'
import type { Logger } from '@punica/service'
import { sweepObjects } from './adapters/sweep-objects.ts'
import { sweepUploads } from './adapters/sweep-uploads.ts'
import type { Database } from './db/database.ts'
import type { Inventory } from './nodes/inventory.ts'
import { forgetCounted } from './usage/count-usage.ts'

type Deps = {
  db: Database
  store: Pick<ObjectStore, 'delete' | 'head' | 'list' | 'sweep'>
  inventory: Pick<Inventory, 'list'>
  log: Logger
}

const intervalMs = 10 * 60_000

/** Does now and then what keeps tables and the object store from growing for ever. */
export const keepHouse = ({ db, store, inventory, log }: Deps): { stop(): Promise<void> } => {
  let current = Promise.resolve()
  const tidy = async (): Promise<void> => {
    await sweepUploads({ db, store })
    await sweepObjects({ db, store, inventory, log })
    await forgetCounted(db)
  }
  const timer = setInterval(() => {
    current = current
      .then(tidy)
      .catch((err: unknown) => log.warn({ err }, 'housekeeping broken off'))
  }, intervalMs)
  return {
    stop: () => {
      clearInterval(timer)
      return current
    },
  }
}
