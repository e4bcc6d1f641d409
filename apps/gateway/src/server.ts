import { randomBytes } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { type Bus, isReachable } from '@punica/bus'
import { channels } from '@punica/schema'
import type { Context } from '@punica/service'
import type { Tokenizer } from '@punica/tokenizer'
import { watchCatalog } from './catalog/catalog.ts'
import { createKeyUse } from './catalog/key-use.ts'
import type { Config } from './config.ts'
import { createGateway } from './gateway.ts'
import { createApp } from './http/app.ts'
import { createLatencyReport } from './latency-report.ts'
import { createUsageMetrics, createWatches, watchConnections } from './measure.ts'
import { openNatsFace } from './nats/face.ts'
import { createCalls } from './requests/calls.ts'
import { createSequences } from './requests/sequences.ts'
import { createMeter } from './usage/meter.ts'
import { createUsageRecorder } from './usage/recorder.ts'

export type ServerDeps = Context<Config> & { bus: Bus; tokenizer: Tokenizer }

const statusIntervalMs = 1_000
/** For the last bytes of the answers to leave. */
const flushTimeoutMs = 1_000
const usageFlushMs = 3_000

/**
 * Serves both faces until the signal. Then no call begins any more, those under way have the grace
 * to end (what is left fails as `unavailable`), and the pool is told that this gateway leaves.
 */
export const serveUntilStopped = async (deps: ServerDeps): Promise<void> => {
  const { bus, tokenizer, config, log, metrics, refusals, signal, ready } = deps
  const { pool, gatewayId, requestTimeoutMs } = config
  const clock = Date.now
  const { catalog, stop: stopCatalog } = await watchCatalog(bus)
  const sequences = createSequences({ ...config, bus, log, refusals, clock })
  const usage = createUsageRecorder({
    bus,
    log,
    clock,
    ...createUsageMetrics(metrics, () => usage.numWaiting()),
  })
  const meter = createMeter({ pool, gatewayId, clock, record: usage.record })
  const calls = createCalls({
    sequences,
    meter,
    tokenizer,
    gatewayId,
    maxInFlight: config.maxInFlight,
    timeoutMs: requestTimeoutMs,
    clock,
  })
  metrics.gauge({
    name: 'punica_gateway_sequences_running',
    help: 'Sequences under way; each choice of a call is one',
    collect: sequences.numRunning,
  })
  const latency = createLatencyReport()
  const watch = createWatches({ metrics, tracing: deps.tracing, log, latency, clock })
  const { baseModel } = config
  const keyUse = createKeyUse({ bus, clock })
  const gateway = createGateway({ catalog, calls, keyUse, tokenizer, baseModel, clock, watch })
  const isReady = (): Promise<boolean> => isReachable(bus)
  const app = createApp({ ...config, gateway, names: tokenizer, log, clock, isReady })
  watchConnections(app.server, metrics)
  const newRequestId = (): string => randomBytes(16).toString('hex')
  const natsFace = openNatsFace({ bus, gateway, log, refusals, names: tokenizer, newRequestId })

  const tick = (): void => {
    sequences.tick(clock())
    meter.tick(clock())
    const taken = latency.take()
    if (taken === null) return
    bus.publish(channels.poolReports(pool), { type: 'latency', gatewayId, ...taken })
  }
  tick()
  const ticker = setInterval(tick, statusIntervalMs)
  // The subscriptions have reached the server before the first call can need their answers.
  await bus.flush()
  const url = await app.listen({ host: config.host, port: config.port })
  ready({ port: Number(new URL(url).port), url, gatewayId })

  if (!signal.aborted) await new Promise((resolve) => signal.addEventListener('abort', resolve))
  log.info({ numCalls: calls.numRunning() }, 'stopping')
  natsFace.stopAccepting()
  const closed = app.close()
  await calls.drain(config.shutdownGraceMs)
  clearInterval(ticker)
  bus.publish(channels.gatewayStatus(pool), { gatewayId, requests: 0, leaving: true })
  await Promise.race([closed, delay(flushTimeoutMs, undefined, { ref: false })])
  app.server.closeAllConnections()
  await closed
  natsFace.close()
  sequences.close()
  keyUse.close()
  stopCatalog()
  await usage.flush(usageFlushMs)
}
