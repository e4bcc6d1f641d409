import { connectBus, isReachable } from '@punica/bus'
import { run } from '@punica/service'
import { Config } from './config.ts'
import { routeUntil } from './router.ts'

await run('router', Config, async (context) => {
  const { config, log, signal, refusals, check } = context
  const bus = await connectBus({
    url: config.natsUrl,
    credentialsFile: config.natsCredentialsFile,
    name: `router ${config.pool}`,
    log,
    onProblem: refusals.onProblem,
  })
  check('NATS', () => isReachable(bus))
  try {
    await routeUntil(signal, { ...context, bus })
  } finally {
    await bus.close()
  }
})
