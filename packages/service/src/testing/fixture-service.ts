import { once } from 'node:events'
import { z } from 'zod'
import { run } from '../run.ts'

const Config = z
  .object({ GREETING: z.string(), CRASH: z.string().optional() })
  .transform((env) => ({ greeting: env.GREETING, crash: env.CRASH !== undefined }))

/** The smallest service: ready at once, runs until told to stop. Tests start it as a process. */
await run('fixture', Config, async ({ config, signal, ready }) => {
  if (config.crash) throw new Error('told to crash')
  ready({ greeting: config.greeting })
  await once(signal, 'abort')
})
