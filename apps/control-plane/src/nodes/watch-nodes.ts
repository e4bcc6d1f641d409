import type { Bus } from '@punica/bus'
import { channels } from '@punica/schema'
import type { Logger } from '@punica/service'
import type { Database } from '../db/database.ts'
import type { Inventory } from './inventory.ts'
import { loadNodes, saveNodes } from './node-rows.ts'

type Deps = { db: Database; bus: Pick<Bus, 'subscribe'>; inventory: Inventory; log: Logger }

/** Listeners are told at most this often, however many nodes report. */
const notifyIntervalMs = 250
/** Rows are written at most this often. */
const saveIntervalMs = 1_000

export type NodeWatch = {
  /** Calls back after nodes have changed. */
  onChange(listener: () => void): () => void
  stop(): Promise<void>
}

/** Follows what the nodes say, keeps the inventory, and writes it down now and then. */
export const watchNodes = async ({ db, bus, inventory, log }: Deps): Promise<NodeWatch> => {
  const listeners = new Set<() => void>()
  let changed = false
  const unsubscribe = bus.subscribe(channels.nodeEvents('*'), (event) => {
    inventory.handle(event, Date.now())
    changed = true
  })
  inventory.restore(await loadNodes(db))

  const notify = setInterval(() => {
    if (!changed) return
    changed = false
    for (const listener of listeners) listener()
  }, notifyIntervalMs)

  let saving = Promise.resolve()
  const save = setInterval(() => {
    inventory.tick(Date.now())
    const changes = inventory.takeChanges()
    if (changes.changed.length + changes.removed.length === 0) return
    changed = true
    // What could not be written comes again with the node's next report.
    saving = saving
      .then(() => saveNodes(db, changes))
      .catch((err: unknown) => log.warn({ err }, 'nodes not written'))
  }, saveIntervalMs)

  return {
    onChange: (listener) => {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
    stop: async () => {
      unsubscribe()
      clearInterval(notify)
      clearInterval(save)
      await saving
    },
  }
}
