import type { AccountClaims, Bus } from '@punica/bus'
import type { ObjectStore } from '@punica/object-store'
import { UsageEvent, usageStream } from '@punica/schema'
import type { Logger, Refusals } from '@punica/service'
import { createProbe, type ProbeAdapter } from './adapters/probe-adapter.ts'
import { createProjector } from './catalog/projector.ts'
import { type BaseModelSetting, seedBaseModel } from './catalog/seed-base-model.ts'
import { type Closers, createClosers } from './closers.ts'
import type { Database } from './db/database.ts'
import { keepHouse } from './housekeeping.ts'
import type { ImportSettings } from './imports/import.ts'
import { watchKeyUse } from './keys/key-use.ts'
import { seedOperatorKey } from './keys/seed-operator-key.ts'
import { watchDecisions } from './nodes/watch-decisions.ts'
import { watchNodes } from './nodes/watch-nodes.ts'
import { watchPools } from './nodes/watch-pools.ts'
import { createPlayground } from './playground/playground.ts'
import type { ConnectTenant } from './playground/tenant-client.ts'
import { createGate } from './server/gate.ts'
import { serve } from './server/server.ts'
import { countUsage, usagePosition } from './usage/count-usage.ts'
import { createLiveUsage } from './usage/live.ts'

export type ControlPlaneOptions = {
  db: Database
  bus: Bus
  store: ObjectStore
  /** How the playground reaches the gateways. */
  connectTenant: ConnectTenant
  log: Logger
  refusals: Pick<Refusals, 'refuse'>
  host: string
  /** 0 picks a free one. */
  port: number
  publicUrl?: string | undefined
  operatorKey?: string | undefined
  natsAccountSeed?: string | undefined
  /** null: NATS credentials cannot be revoked here. */
  accountClaims?: AccountClaims | null
  consoleFolder?: string | undefined
  baseModel: BaseModelSetting | null
  imports: ImportSettings
  /** How long a publication waits for a node that tries the adapter. */
  probeWaitMs: number
  /** Asked instead of a node, in tests. */
  probeAdapter?: ProbeAdapter
}

export type ControlPlane = { port: number; url: string; close(): Promise<void> }

const maxUploads = 16
const maxInspections = 4

/**
 * Starts the control plane over a migrated database: seeds it, puts the catalog right, follows the
 * nodes, and serves. `close` finishes what is under way; the connections stay the caller's.
 */
export const startControlPlane = async (options: ControlPlaneOptions): Promise<ControlPlane> => {
  const { db, operatorKey, baseModel } = options
  if (operatorKey !== undefined) await seedOperatorKey(db, operatorKey)
  if (baseModel !== null) await seedBaseModel(db, baseModel)
  const closers = createClosers()
  try {
    const server = await start(options, closers)
    return { ...server, close: closers.close }
  } catch (cause) {
    await closers.close()
    throw cause
  }
}

const start = async (
  {
    db,
    bus,
    store,
    log,
    refusals,
    host,
    port,
    accountClaims = null,
    ...options
  }: ControlPlaneOptions,
  closers: Closers,
): Promise<{ port: number; url: string }> => {
  const projector = await createProjector({ db, bus, accountClaims, log })
  closers.add(projector.stop)
  await projector.rebuild()
  const nodeWatch = await watchNodes({ db, bus, log, refusals })
  const { inventory } = nodeWatch
  closers.add(nodeWatch.stop)
  const decisionWatch = watchDecisions({ bus, refusals })
  closers.add(decisionWatch.stop)
  const poolReports = watchPools({ bus, refusals })
  closers.add(poolReports.stop)
  const keyUse = watchKeyUse({ db, bus, log })
  closers.add(keyUse.stop)
  const liveUsage = createLiveUsage({ db, log })
  closers.add(liveUsage.stop)
  closers.add(
    await bus.follow({
      stream: usageStream,
      schema: UsageEvent,
      position: () => usagePosition(db),
      handle: (messages, position) => countUsage({ db, log, refusals }, messages, position),
    }),
  )
  closers.add(keepHouse({ db, store, inventory, log }).stop)
  const { probeAdapter = createProbe({ bus, inventory, nodeWatch, waitMs: options.probeWaitMs }) } =
    options

  let url = ''
  const server = await serve({
    host,
    port,
    consoleFolder: options.consoleFolder,
    deps: {
      db,
      store,
      projector,
      accountClaims,
      inventory,
      nodeWatch,
      decisionWatch,
      poolReports,
      liveUsage,
      keyUse,
      uploads: createGate(maxUploads, 'uploads'),
      inspections: createGate(maxInspections, 'checks of adapters'),
      playground: createPlayground(options.connectTenant),
      probeAdapter,
      settings: {
        publicUrl: () => options.publicUrl ?? url,
        natsAccountSeed: options.natsAccountSeed ?? null,
        imports: options.imports,
      },
      log,
    },
  })
  closers.add(server.close)
  url = `http://${host.includes(':') ? `[${host}]` : host}:${server.port}`
  return { port: server.port, url }
}
