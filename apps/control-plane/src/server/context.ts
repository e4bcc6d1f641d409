import type { AccountClaims } from '@punica/bus'
import type { ObjectStore } from '@punica/object-store'
import type { Logger } from '@punica/service'
import type { ProbeAdapter } from '../adapters/probe-adapter.ts'
import type { Projector } from '../catalog/projector.ts'
import type { Database } from '../db/database.ts'
import type { ImportSettings } from '../imports/import.ts'
import type { Actor } from '../keys/actor.ts'
import type { KeyUse } from '../keys/key-use.ts'
import type { Inventory } from '../nodes/inventory.ts'
import type { PoolReports } from '../nodes/pool-reports.ts'
import type { DecisionWatch } from '../nodes/watch-decisions.ts'
import type { NodeWatch } from '../nodes/watch-nodes.ts'
import type { Playground } from '../playground/playground.ts'
import type { LiveUsage } from '../usage/live.ts'
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
  projector: Pick<Projector, 'settle' | 'rebuild'>
  /** Makes NATS refuse credentials; null: it cannot be told to from here. */
  accountClaims: AccountClaims | null
  inventory: Pick<Inventory, 'list' | 'find' | 'schedule' | 'remove'>
  nodeWatch: Pick<NodeWatch, 'onChange' | 'happenings'>
  decisionWatch: Pick<DecisionWatch, 'feed' | 'scaleHint'>
  poolReports: Pick<PoolReports, 'read'>
  liveUsage: Pick<LiveUsage, 'subscribe'>
  keyUse: Pick<KeyUse, 'note'>
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
