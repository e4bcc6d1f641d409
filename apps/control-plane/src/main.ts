import { connectBus, connectNats, isReachable } from '@punica/bus'
import { openObjectStore } from '@punica/object-store'
import { run } from '@punica/service'
import { openAccountClaims } from './catalog/account-claims.ts'
import { createClosers } from './closers.ts'
import { Config } from './config.ts'
import { startControlPlane } from './control-plane.ts'
import { isAnswering, openDatabase } from './db/database.ts'
import { migrate } from './db/migrate.ts'
import { tenantClients } from './playground/tenant-client.ts'
import { untilAborted } from './until-aborted.ts'

await run('control-plane', Config, async (context) => {
  const { config, log, refusals, check, signal, ready } = context
  const closers = createClosers()
  try {
    log.info({ migrations: await migrate(config.databaseUrl) }, 'database migrated')
    const db = openDatabase({ url: config.databaseUrl })
    closers.add(() => db.$disconnect())
    const nats = { url: config.natsUrl, credentialsFile: config.natsCreds, log }
    check('Postgres', () => isAnswering(db))
    const { onProblem } = refusals
    const bus = await connectBus({ ...nats, name: 'control-plane', onProblem })
    check('NATS', () => isReachable(bus))
    closers.add(() => bus.close())
    const store = await openObjectStore(config.objectStoreUrl, () =>
      connectNats({ ...nats, name: 'control-plane-uploads' }),
    )
    closers.add(() => store.close())
    const { natsUrl, natsCreds, natsAccountSeed: accountSeed = null } = config
    const connectTenant = tenantClients({ natsUrl, natsCreds, accountSeed, log })
    const accountClaims = await openAccountClaims(config, log)
    closers.add(() => accountClaims?.close())
    const controlPlane = await startControlPlane({
      ...config,
      db,
      bus,
      store,
      connectTenant,
      accountClaims,
      log,
      refusals,
    })
    closers.add(() => controlPlane.close())
    ready({ port: controlPlane.port, url: controlPlane.url })
    await untilAborted(signal)
  } finally {
    await closers.close()
  }
})
