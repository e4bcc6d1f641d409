import { connectBus } from '@punica/bus'
import { run } from '@punica/service'
import { Config } from './config.ts'
import { createProblemCounter } from './problems.ts'
import { routeUntil } from './router.ts'

await run('router', Config, async ({ config, log, metrics, tracing, signal, ready }) => {
  const bus = await connectBus({
    url: config.natsUrl,
    credentialsFile: config.natsCredentialsFile,
    name: `router ${config.pool}`,
    log,
    onProblem: createProblemCounter(metrics, log),
  })
  try {
    await routeUntil(signal, { bus, log, metrics, tracing, config, ready })
  } finally {
    await bus.close()
  }
})
