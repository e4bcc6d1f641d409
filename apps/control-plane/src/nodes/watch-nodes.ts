import type { Bus } from '@punica/bus'
import { channels } from '@punica/schema'
import type { Logger, Refusals } from '@punica/service'
import type { Database } from '../db/database.ts'
import { createFeed, type Feed } from '../server/feed.ts'
import { createInventory, type Inventory, type NodeHappening } from './inventory.ts'
import { loadNodes, loadScheduling, saveNodes } from './node-rows.ts'

type Deps = {
  db: Database
  bus: Pick<Bus, 'subscribe'>
  log: Logger
  refusals: Pick<Refusals, 'refuse'>
}

/** Listeners are told at most this often, however many nodes report. */
const notifyIntervalMs = 500
/** Rows are written, and what operators told another control plane is read, this often. */
const saveIntervalMs = 1_000

/** A subscriber that is slower than what happens gets the newest. */
const maxWaiting = 1_000

export type NodeWatch = {
  inventory: Inventory
  happenings: Pick<Feed<NodeHappening>, 'subscribe'>
  /** Calls back after nodes have changed. */
  onChange(listener: () => void): () => void
  stop(): Promise<void>
}

/** Follows what the nodes say, keeps the inventory, and writes it down now and then. */
export const watchNodes = async ({ db, bus, log, refusals }: Deps): Promise<NodeWatch> => {
  const happenings = createFeed<NodeHappening>({ maxItems: maxWaiting })
  const inventory = createInventory(happenings.publish)
  const listeners = new Set<() => void>()
  let changed = false
  const unsubscribe = bus.subscribe(channels.nodeEvents('*'), (event, { subject }) => {
    if (event.type === 'status' && subject !== channels.nodeEvents(event.status.pool).subject) {
      refusals.refuse(subject, 'wrong_pool')
      return
    }
    inventory.handle(event, Date.now())
    changed = true
  })
  inventory.restore(await loadNodes(db))

  const notify = setInterval(() => {
    if (!changed) return
    changed = false
    for (const listener of listeners) listener()
  }, notifyIntervalMs)

  const exchange = async (): Promise<void> => {
    inventory.tick(Date.now())
    const changes = inventory.takeChanges()
    if (changes.changed.length + changes.removed.length > 0) {
      changed = true
      await saveNodes(db, changes)
    }
    inventory.sync(await loadScheduling(db), Date.now())
  }
  let current: Promise<void> | null = null
  const save = setInterval(() => {
    // What could not be written comes again with the node's next report.
    current ??= exchange()
      .catch((err: unknown) => log.warn({ err }, 'nodes not written'))
      .finally(() => {
        current = null
      })
  }, saveIntervalMs)

  return {
    inventory,
    happenings,
    onChange: (listener) => {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
    stop: async () => {
      unsubscribe()
      clearInterval(notify)
      clearInterval(save)
      happenings.stop()
      await current
    },
  }
}
