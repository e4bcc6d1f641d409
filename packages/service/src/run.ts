import { setTimeout as delay } from 'node:timers/promises'
import { type Logger, pino } from 'pino'
import { z } from 'zod'
import { createMetrics, type Metrics } from './metrics.ts'
import { createRefusals, type Refusals } from './refusals.ts'
import { type Check, type Status, serveStatus } from './status.ts'
import { noTracing, openTracing, type Tracing } from './tracing.ts'

export type Context<C> = {
  config: C
  log: Logger
  metrics: Metrics
  refusals: Refusals
  tracing: Tracing
  /** Makes /readyz ask, each time, whether something that the service needs answers. */
  check(what: string, works: Check): void
  signal: AbortSignal
  /**
   * Says that the service does its work now, with what a launcher may want to know (its port). A
   * parent that opened an IPC channel receives it as `{ type: 'ready', name, ... }`. Where the facts
   * have a `role`, /ready names it; a service whose role changes says so by calling this again.
   */
  ready(facts?: Record<string, unknown>): void
}

/** Settings that every service has beside its own. */
const Common = z.object({
  LOG_LEVEL: z.enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent']).default('info'),
  /** Where /metrics, /healthz and /readyz are served; absent: not served. */
  STATUS_PORT: z.coerce.number().int().min(0).max(65_535).optional(),
  STATUS_HOST: z.string().default('127.0.0.1'),
  /** A collector of OpenTelemetry traces; absent: nothing is traced. */
  OTEL_EXPORTER_OTLP_ENDPOINT: z.url().optional(),
})

/**
 * The life of a service: parse the environment, run until told to stop, exit non-zero on a crash.
 * This is the only code in the repository that reads `process.env` or handles signals. A second
 * signal ends the process at once.
 */
export const run = async <S extends z.ZodType>(
  name: string,
  Config: S,
  main: (context: Context<z.output<S>>) => Promise<void>,
): Promise<void> => {
  const common = Common.safeParse(process.env)
  const config = Config.safeParse(process.env)
  const log = openLog(name, common.data?.LOG_LEVEL ?? 'info')
  const issues = [...(common.error?.issues ?? []), ...(config.error?.issues ?? [])]
  if (!common.success || !config.success) {
    log.fatal(
      { issues: issues.map((i) => `${i.path.join('.')}: ${i.message}`) },
      'settings refused',
    )
    process.exitCode = 2
    leaveParent()
    return
  }

  const stop = new AbortController()
  const stopWithin = (limitMs: number): void => {
    stop.abort()
    exitAfter(limitMs, () => log.fatal({ limitMs }, 'did not stop in time'))
  }
  for (const kill of ['SIGINT', 'SIGTERM'] as const) {
    process.once(kill, () => {
      stopWithin(stopLimitMs)
      process.once(kill, () => process.exit(130))
    })
  }
  // A launcher that is killed takes its services along: nothing of `punica up` stays behind.
  process.once('disconnect', () => stopWithin(orphanLimitMs))
  const metrics = createMetrics(name)
  const refusals = createRefusals(metrics, log)
  const status: Status = { ready: false, role: null, checks: new Map() }
  const { STATUS_PORT: port, STATUS_HOST: host, OTEL_EXPORTER_OTLP_ENDPOINT: otlp } = common.data
  const server = port === undefined ? null : await serveStatus({ host, port, metrics, status })
  const ready = (facts: Record<string, unknown> = {}): void => {
    status.ready = true
    status.role = typeof facts.role === 'string' ? facts.role : null
    log.info(facts, 'ready')
    process.send?.({ type: 'ready', name, statusPort: server?.port, ...facts })
  }
  const opened = otlp === undefined ? null : await openTracing(name)
  const tracing = opened?.tracing ?? noTracing
  try {
    const check = (what: string, works: Check): void => void status.checks.set(what, works)
    const signals = { log, metrics, refusals, tracing, check, ready }
    await main({ config: config.data, signal: stop.signal, ...signals })
    log.info('stopped')
  } catch (err) {
    log.fatal({ err }, 'crashed')
    process.exitCode = 1
  } finally {
    // The collector may be away; it must not hold up the end.
    await Promise.race([
      opened?.close().catch(() => {}),
      delay(traceFlushMs, undefined, { ref: false }),
    ])
    await server?.close()
    leaveParent()
    exitAfter(lingerLimitMs, () => log.warn('something was left running after the end'))
  }
}

/**
 * Logs to the standard output. Whoever reads it may be gone, as a launcher that was killed: pino's own
 * way to write would then try a last line again for ever, and the process would never end.
 */
const openLog = (name: string, level: string): Logger => {
  process.stdout.on('error', () => {})
  return pino({ name, level }, process.stdout)
}

/** Longer than any service takes that stops in order. */
const stopLimitMs = 60_000
/** Whoever started it is gone, and with it, most likely, what it would tidy up. */
const orphanLimitMs = 10_000
/** For the last spans to reach their collector. */
const traceFlushMs = 1_000
/** For what closes by itself once main has ended. */
const lingerLimitMs = 2_000

/** Ends a process that does not end by itself by then; the timer keeps no process alive. */
const exitAfter = (limitMs: number, say: () => void): void => {
  setTimeout(() => {
    say()
    process.exit(process.exitCode ?? 1)
  }, limitMs).unref()
}

/** An open IPC channel would keep a finished process alive. */
const leaveParent = (): void => {
  if (process.connected) process.disconnect()
}
