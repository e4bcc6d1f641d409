import { connectBus, isReachable } from '@punica/bus'
import { run } from '@punica/service'
import { loadTokenizer } from '@punica/tokenizer'
import { Config } from './config.ts'
import { serveUntilStopped } from './server.ts'

await run('gateway', Config, async (context) => {
  const { natsUrl: url, credentialsPath: credentialsFile, modelFolder, gatewayId } = context.config
  const tokenizer = await loadTokenizer(modelFolder)
  const { log, refusals, check } = context
  const { onProblem } = refusals
  const bus = await connectBus({ url, credentialsFile, name: gatewayId, log, onProblem })
  check('NATS', () => isReachable(bus))
  try {
    await serveUntilStopped({ ...context, bus, tokenizer })
  } finally {
    await bus.close()
  }
})
