import { connectBus } from '@punica/bus'
import { run } from '@punica/service'
import { loadTokenizer } from '@punica/tokenizer'
import { Config } from './config.ts'
import { serveUntilStopped } from './server.ts'

await run('gateway', Config, async (context) => {
  const { natsUrl: url, credentialsPath: credentialsFile, modelFolder, gatewayId } = context.config
  const tokenizer = await loadTokenizer(modelFolder)
  const bus = await connectBus({ url, credentialsFile, name: gatewayId, log: context.log })
  try {
    await serveUntilStopped({ ...context, bus, tokenizer })
  } finally {
    await bus.close()
  }
})
