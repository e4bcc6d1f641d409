import { memoryBus } from '@punica/bus'
import { createMetrics, noTracing, pino } from '@punica/service'
import { loadTokenizer } from '@punica/tokenizer'
import { Config } from '../config.ts'
import { serveUntilStopped } from '../server.ts'
import { createFakePool } from './fake-pool.ts'
import { modelFolder, putCatalog } from './fixtures.ts'

export const tokenizer = await loadTokenizer(modelFolder)

/** A whole gateway on a free port, with the catalog of `putCatalog` and a pool that a test plays. */
export const startGateway = async (settings: Record<string, string> = {}) => {
  const bus = memoryBus()
  await putCatalog(bus)
  const pool = createFakePool(bus, 'gw')
  const config = Config.parse({
    MODEL_FOLDER: modelFolder,
    BASE_MODEL: 'base',
    GATEWAY_ID: 'gw',
    PORT: '0',
    ...settings,
  })
  const stopping = new AbortController()
  let stopped: Promise<void> = Promise.resolve()
  const { url } = await new Promise<{ url: string }>((resolve, reject) => {
    stopped = serveUntilStopped({
      bus,
      tokenizer,
      config,
      log: pino({ level: 'silent' }),
      metrics: createMetrics('gateway'),
      refusals: { onProblem: () => {}, refuse: () => {} },
      check: () => {},
      tracing: noTracing,
      signal: stopping.signal,
      ready: (facts) => resolve({ url: String(facts?.url) }),
    })
    stopped.catch(reject)
  })
  return {
    bus,
    pool,
    url,
    stop: async () => {
      stopping.abort()
      await stopped
    },
    /** Plays a node that answers the next request with the text, a token a batch. */
    answerNext: async (text: string, reason: 'stop' | 'length' = 'stop') => {
      const task = await pool.nextTask()
      const node = pool.node('n1')
      const tokens = tokenizer.encode(text)
      for (const [from, token] of tokens.entries()) node.send({ task, tokens: [token], from })
      node.send({ task, end: reason, numTokens: tokens.length })
      return task
    },
  }
}

export type TestGateway = Awaited<ReturnType<typeof startGateway>>
