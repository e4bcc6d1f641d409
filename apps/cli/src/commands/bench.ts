import { createHistogram, type RecordableHistogram } from 'node:perf_hooks'
import { toAppError } from '@punica/schema'
import type { Command } from 'commander'
import { collect, toSeconds, toWhole } from '../arguments.ts'
import { type ControlOptions, example, withConnection, withJson } from '../connection.ts'
import { type Gateway, openGateway } from '../gateway/open-gateway.ts'
import { streamChat } from '../gateway/stream-chat.ts'
import { formatCount, formatMs } from '../terminal/format.ts'
import { perform } from '../terminal/io.ts'
import { align } from '../terminal/table.ts'
import { UsageError } from '../usage-error.ts'

type BenchOptions = ControlOptions & {
  model?: string[]
  tenant?: string
  concurrency: number
  duration: number
  maxTokens: number
  prompt: string
}

/** `punica bench`: what a running gateway gives to so many clients. */
export const addBenchCommand = (program: Command): void => {
  withJson(withConnection(program.command('bench')))
    .description(
      'load a running gateway; tokens per second, time to first token, time between tokens',
    )
    .option(
      '-m, --model <model>',
      'as of generate; repeat it for several; by default all of the key',
      collect,
    )
    .option('--gateway <url>', 'of the gateway; by default PUNICA_GATEWAY_URL')
    .option('--tenant <slug>', 'for whom, where the key is an operator’s')
    .option('-c, --concurrency <count>', 'requests at a time', toWhole(1, 1024), 16)
    .option('-d, --duration <time>', 'start requests for so long', toSeconds, 10)
    .option('--max-tokens <count>', 'new tokens of each request', toWhole(1, 100_000), 64)
    .option('--prompt <text>', 'of each request', 'Tell me a story.')
    .addHelpText('after', example('punica bench --tenant acme -c 32 -d 30s'))
    .action(bench)
}

const bench = (options: BenchOptions): Promise<void> =>
  perform(options, async (io) => {
    if (options.duration < 1) throw new UsageError('--duration: at least 1s')
    const gateway = await openGateway(options, io)
    try {
      const models = options.model ?? gateway.models
      io.note(
        `${options.concurrency} requests at a time over ${models.length} models, ${options.duration} s`,
      )
      const result = await load(gateway, { ...options, models }, io.signal)
      io.signal.throwIfAborted()
      io.print(result, describe)
      if (result.requests.ok === 0) process.exitCode = 1
    } finally {
      await gateway.close()
    }
  })

type Percentiles = { p50: number; p99: number }
type Result = {
  models: readonly string[]
  concurrency: number
  durationSeconds: number
  maxTokens: number
  requests: { ok: number; failed: number; errors: Record<string, number> }
  tokens: number
  tokensPerSecond: number
  timeToFirstTokenMs: Percentiles | null
  interTokenMs: Percentiles | null
  /** Mean time between the tokens of a request: tokens that arrive together do not hide in it. */
  timePerTokenMs: Percentiles | null
  maxAdaptersInBatch: number
}

type Load = Pick<BenchOptions, 'concurrency' | 'duration' | 'maxTokens' | 'prompt'> & {
  models: readonly string[]
}

type Totals = {
  ok: number
  failed: number
  errors: Record<string, number>
  tokens: number
  maxAdapters: number
  firstUs: RecordableHistogram
  betweenUs: RecordableHistogram
  perTokenUs: RecordableHistogram
}

/** A failing gateway is not asked in a tight loop. */
const pauseMs = 100

/** Closed loops, models in turns; requests that run at the end are read to theirs. */
const load = async (gateway: Gateway, plan: Load, signal: AbortSignal): Promise<Result> => {
  const { models, concurrency, duration, maxTokens } = plan
  const totals: Totals = {
    ok: 0,
    failed: 0,
    errors: {},
    tokens: 0,
    maxAdapters: 0,
    firstUs: createHistogram(),
    betweenUs: createHistogram(),
    perTokenUs: createHistogram(),
  }
  const endMs = performance.now() + duration * 1000
  let next = 0
  const work = async (): Promise<void> => {
    while (performance.now() < endMs && !signal.aborted) {
      const model = models[next++ % models.length] ?? ''
      try {
        await measure(gateway, { model, plan, endMs }, totals, signal)
        totals.ok++
      } catch (cause) {
        if (signal.aborted) return
        totals.failed++
        const { code } = toAppError(cause)
        totals.errors[code] = (totals.errors[code] ?? 0) + 1
        await new Promise((resolve) => setTimeout(resolve, pauseMs))
      }
    }
  }
  await Promise.all(Array.from({ length: concurrency }, work))
  return {
    models,
    concurrency,
    durationSeconds: duration,
    maxTokens,
    requests: { ok: totals.ok, failed: totals.failed, errors: totals.errors },
    tokens: Math.round(totals.tokens),
    tokensPerSecond: totals.tokens / duration,
    timeToFirstTokenMs: toPercentiles(totals.firstUs),
    interTokenMs: toPercentiles(totals.betweenUs),
    timePerTokenMs: toPercentiles(totals.perTokenUs),
    maxAdaptersInBatch: totals.maxAdapters,
  }
}

type Request = { model: string; plan: Load; endMs: number }

/** One request. Of its tokens those count that came before the end, by its pieces. */
const measure = async (
  { target }: Gateway,
  { model, plan, endMs }: Request,
  totals: Totals,
  signal: AbortSignal,
): Promise<void> => {
  const body = {
    model,
    messages: [{ role: 'user', content: plan.prompt }],
    max_tokens: plan.maxTokens,
    ignore_eos: true,
  }
  const startMs = performance.now()
  let firstMs: number | null = null
  let lastMs = startMs
  let numPieces = 0
  let numInTime = 0
  for await (const piece of streamChat(target, body, signal)) {
    if (piece.type === 'end') {
      if (numPieces > 0) totals.tokens += (piece.numTokens * numInTime) / numPieces
      if (firstMs !== null && piece.numTokens > 1) {
        record(totals.perTokenUs, (lastMs - firstMs) / (piece.numTokens - 1))
      }
      continue
    }
    const nowMs = performance.now()
    record(firstMs === null ? totals.firstUs : totals.betweenUs, nowMs - lastMs)
    firstMs ??= nowMs
    lastMs = nowMs
    totals.maxAdapters = Math.max(totals.maxAdapters, piece.numAdapters)
    numPieces++
    if (nowMs <= endMs) numInTime++
  }
}

/** In microseconds, of which a histogram takes whole ones from 1. */
const record = (histogram: RecordableHistogram, ms: number): void =>
  histogram.record(Math.max(1, Math.round(ms * 1000)))

const toPercentiles = (histogram: RecordableHistogram): Percentiles | null =>
  histogram.count === 0
    ? null
    : { p50: histogram.percentile(50) / 1000, p99: histogram.percentile(99) / 1000 }

const describe = (result: Result): string => {
  const { requests, timeToFirstTokenMs, interTokenMs, timePerTokenMs } = result
  const errors = Object.entries(requests.errors).map(([code, count]) => `${count} ${code}`)
  const say = (found: Percentiles | null): string =>
    `p50 ${formatMs(found?.p50)}, p99 ${formatMs(found?.p99)}`
  return align([
    ['requests', `${requests.ok} answered, ${[`${requests.failed} failed`, ...errors].join(', ')}`],
    [
      'throughput',
      `${formatCount(result.tokensPerSecond)} tokens/s (${formatCount(result.tokens)} new tokens in ${result.durationSeconds} s)`,
    ],
    ['first token', say(timeToFirstTokenMs)],
    ['between tokens', say(interTokenMs)],
    ['time per token', `${say(timePerTokenMs)} (mean of each request)`],
    ['in one batch', `${result.maxAdaptersInBatch} different adapters at most`],
  ]).join('\n')
}
