import { once } from 'node:events'
import { setInterval } from 'node:timers/promises'
import { z } from 'zod'
import { run } from '../run.ts'

const Config = z
  .object({ GREETING: z.string(), CRASH: z.string().optional(), HANG: z.string().optional() })
  .transform((env) => ({
    greeting: env.GREETING,
    crash: env.CRASH !== undefined,
    hang: env.HANG !== undefined,
  }))

/** The smallest service: ready at once, runs until told to stop. Tests start it as a process. */
await run('fixture', Config, async ({ config, signal, ready }) => {
  if (config.crash) throw new Error('told to crash')
  ready({ greeting: config.greeting })
  await once(signal, 'abort')
  if (config.hang) for await (const _ of setInterval(60_000));
})
