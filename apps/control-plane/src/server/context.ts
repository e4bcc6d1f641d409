import type { ObjectStore } from '@punica/object-store'
import type { Logger } from '@punica/service'
import type { ProbeAdapter } from '../adapters/probe-adapter.ts'
import type { Projector } from '../catalog/projector.ts'
import type { Database } from '../db/database.ts'
import type { ImportSettings } from '../imports/import.ts'
import type { Actor } from '../keys/actor.ts'
import type { Inventory } from '../nodes/inventory.ts'
import type { NodeWatch } from '../nodes/watch-nodes.ts'
import type { Playground } from '../playground/playground.ts'
import type { Gate } from './gate.ts'
import type { Loaders } from './loaders.ts'

type Settings = {
  /** Where clients reach this server, without a slash at the end. */
  publicUrl(): string
  /** Signs NATS credentials; null: none are issued. */
  natsAccountSeed: string | null
  /** From where adapters may be imported. */
  imports: ImportSettings
}

/** What every operation uses. */
export type Deps = {
  db: Database
  store: ObjectStore
  projector: Pick<Projector, 'settle'>
  inventory: Pick<Inventory, 'list'>
  nodeWatch: Pick<NodeWatch, 'onChange'>
  uploads: Gate
  inspections: Gate
  playground: Playground
  probeAdapter: ProbeAdapter
  settings: Settings
  log: Logger
}

/** What the resolvers of one operation are handed. */
export type Context = Deps & {
  actor: Actor
  /** The whole key of the actor, for requests that are made in its name. */
  secret: string
  loaders: Loaders
}
